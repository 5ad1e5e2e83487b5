"""What a collector of ours at the other end says: who reports, since when, and what was not used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bmad_processor.cli.losses import losses
from bmad_processor.cli.source import Failed, NoData, Unreachable, ask
from bmad_processor.cli.text import age, plural
from bmad_processor.errors import ProcessorError, Unanswerable

from .finding import Finding, Status

if TYPE_CHECKING:
    from bmad_otel._delivery.target import Target

AREA: Final = "collector"

DEFAULT_PORT: Final = 8320

_NOT_OURS: Final = "what listens there is not a bmad-otel collector"

MAX_SHOWN: Final = 20
"""Agents named in one line; `bmad-otel list-agents` shows all."""

_ADVICE: Final = {
    "late": "data arrived after its window was judged: raise allowed_lateness, or let senders send sooner",
    "future": "a sender's clock is ahead: synchronise it",
    "refused_requests_full": "a backend does not keep up: see the collector's exporters",
    "refused_requests_malformed": "somebody sends what is not OTLP: see the collector's log",
    "failed_items_permanent": "a backend refuses data for good: see the collector's log",
    "failed_items_retries_exhausted": "a backend was away for too long: see the collector's log",
    "failed_items_damaged": "the file of a queue is damaged: see the collector's log",
    "refused_requests_disk": "the disk of a queue is full or broken: see the collector's log",
    "undelivered_events": "no exporter has delivered these alerts yet",
    "agents_folded": "more agents than are kept: is an id part of an agent's name?",
    "instances_folded": "more instances of one agent than are told apart",
    "streams_dropped": "an agent reports more series than are kept",
}
"""By counter, of those whose cause is somewhere else than in the collector's log."""

Ask = Callable[[str], dict[str, Any]]


def examine_collector(api: str, *, is_named: bool, targets: Sequence[Target], timeout_s: float) -> list[Finding]:
    """Ask the API at ``api`` (host:port). Unless it ``is_named`` by the user, there need not be one."""

    def ask_api(path: str) -> dict[str, Any]:
        return ask(api, path, timeout_s=timeout_s)

    try:
        status = ask_api("status")
        if not isinstance(status.get("endpoints"), dict):
            raise Unreachable(_NOT_OURS)
    except Unreachable as error:
        return [_missing(api, str(error), is_named=is_named)]
    except Unanswerable:  # ours always answers this
        return [_missing(api, _NOT_OURS, is_named=is_named)]
    except (Failed, NoData) as error:
        advice = "see the collector's log" if is_named else "name the collector's API with --api"
        state = Status.PROBLEM if is_named else Status.WARNING
        return [Finding(AREA, "api", state, str(error), advice, {"api": api})]
    found = [_there(api, status)]
    found += _same(api, status, targets)
    found += _guarded("data", lambda: _agents(ask_api("agents")))
    found.append(_losses(status))
    found += _guarded("alerts", lambda: [_alerts(ask_api("system-summary"))])
    return found


def _guarded(check: str, examine: Callable[[], list[Finding]]) -> list[Finding]:
    """One question that fails leaves the others their answers."""
    try:
        return examine()
    except (ProcessorError, KeyError, TypeError) as error:
        detail = f"not answered: {error or type(error).__name__}"
        advice = "does the collector have a store, and is it of the same release?"
        return [Finding(AREA, check, Status.WARNING, detail, advice)]


def _missing(api: str, why: str, *, is_named: bool) -> Finding:
    detail = f"no API of a bmad-otel collector at {api} ({why})"
    if is_named:
        advice = "is the collector running, with the api extension at this address?"
        return Finding(AREA, "api", Status.PROBLEM, detail, advice, {"api": api})
    advice = "nothing is wrong if the receiver is another one; else name the address with --api"
    return Finding(AREA, "api", Status.SKIPPED, detail, advice, {"api": api})


def _there(api: str, status: Mapping[str, Any]) -> Finding:
    from bmad_otel import __version__

    version = str(status.get("version", "?"))
    shown = f"bmad-otel {version} at {api}, up for {age(float(status.get('uptime_s') or 0))}"
    data = {"api": api, "version": version, "uptime_s": status.get("uptime_s")}
    if version != __version__:
        detail = f"{shown}; here {__version__} is installed"
        return Finding(AREA, "api", Status.WARNING, detail, "use the same release on both sides", data)
    return Finding(AREA, "api", Status.OK, shown, data=data)


def _same(api: str, status: Mapping[str, Any], targets: Sequence[Target]) -> list[Finding]:
    """Whether it is this collector that the SDK sends to, as far as ports tell."""
    receivers = {name: str(at) for name, at in status["endpoints"].items() if "/" in name}
    ports = {at.rpartition(":")[2] for at in receivers.values()}
    elsewhere = sorted({target.endpoint for target in targets if target.port and str(target.port) not in ports})
    if not elsewhere or not receivers:
        return []
    listens = ", ".join(f"{name} {at}" for name, at in sorted(receivers.items()))
    detail = f"the SDK sends to {' and '.join(elsewhere)}; the collector at {api} receives at {listens}"
    advice = "right if there is a proxy or a mapped port between; else send there"
    return [Finding(AREA, "receives", Status.WARNING, detail, advice, {"receivers": receivers})]


def _agents(answer: Mapping[str, Any]) -> list[Finding]:
    agents = sorted(answer["agents"], key=lambda agent: (agent["age_s"], _name(agent)))
    if not agents:
        advice = "call a tracked function; spans arrive within a second, metrics within five"
        return [Finding(AREA, "data", Status.WARNING, "no agent has reported yet", advice, {"agents": []})]
    ages = [{"agent": _name(agent), "age_s": agent["age_s"], "is_active": agent["is_active"]} for agent in agents]
    silent = [row["agent"] for row in ages if not row["is_active"]]
    shown = [f"{row['agent']} {age(row['age_s'])} ago" for row in ages]
    state, advice = Status.OK, ""
    if len(silent) == len(agents):
        state, advice = Status.WARNING, "no agent has been heard of lately: does any run, and does it send here?"
    found = [Finding(AREA, "data", state, f"last data: {_some(shown)}", advice, {"agents": ages})]
    if "has_profile" in agents[0]:
        found.append(_profiles([_name(agent) for agent in agents if not agent["has_profile"]], len(agents)))
    return found


def _profiles(unprofiled: list[str], n: int) -> Finding:
    data = {"unprofiled": sorted(unprofiled)}
    if not unprofiled:
        return Finding(AREA, "profiles", Status.OK, f"{plural(n, 'agent')}, each with a profile of its own", data=data)
    detail = f"judged by the default profile: {_some(sorted(unprofiled))}"
    advice = "right if its thresholds suit them; else give them files of their own below profiles"
    return Finding(AREA, "profiles", Status.WARNING, detail, advice, data)


def _losses(status: Mapping[str, Any]) -> Finding:
    lost = losses(status)
    if not lost:
        return Finding(AREA, "losses", Status.OK, "nothing was refused or dropped since it started", data={"lost": {}})
    shown = [f"{part} {name}: {n}" for part, counters in lost.items() for name, n in counters.items()]
    known = [_ADVICE[name] for counters in lost.values() for name in counters if name in _ADVICE]
    advice = "; ".join(dict.fromkeys(known)) or "see the collector's log"
    return Finding(AREA, "losses", Status.WARNING, f"since it started: {_some(shown)}", advice, {"lost": lost})


def _alerts(summary: Mapping[str, Any]) -> Finding:
    firing = {level: n for level, n in summary["firing_alerts"].items() if n}
    if not firing:
        return Finding(AREA, "alerts", Status.OK, "none is firing", data={"firing": {}})
    shown = ", ".join(f"{n} {level}" for level, n in firing.items())
    return Finding(AREA, "alerts", Status.WARNING, f"firing: {shown}", "bmad-otel show-alerts", {"firing": firing})


def _name(agent: Mapping[str, Any]) -> str:
    return f"{agent['name']} ({agent['namespace']})" if agent["namespace"] else str(agent["name"])


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - MAX_SHOWN} more" if len(items) > MAX_SHOWN else ""
    return ", ".join(items[:MAX_SHOWN]) + more
