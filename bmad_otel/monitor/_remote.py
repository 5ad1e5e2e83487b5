"""The host in a collector: this process reports over OTLP, and asks the collector's API."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from bmad_otel import _configure, _guard, _settings
from bmad_otel._clock import clock
from bmad_otel.monitor._api import Api
from bmad_otel.monitor._host import Listener, Unanswered
from bmad_otel.monitor._profiles import Body
from bmad_otel.monitor._views import MAX_POINTS

FLUSH_TIMEOUT_S: Final = 2.0
"""How long a question waits for what has just happened to arrive at the collector."""

_LOOK_EVERY_S: Final = 1.0
"""How often it is looked whether the collector is still the one that our profiles were registered at."""

_AWAY_S: Final = 5.0
"""After no answer, how long profiles are put aside without asking again: a program that registers many at its start
must not wait for each."""

_LEVELS: Final = ("info", "warning", "critical", "emergency")
_OTLP_PORT: Final = 4317


class Remote:
    """A collector at ``endpoint``. Raises ValueError for an endpoint that is none.

    A collector that cannot be reached costs answers, not the program: profiles are registered once it is there.
    """

    def __init__(self, endpoint: str, listener: Listener) -> None:
        self._api = Api(endpoint)
        self._listener = listener
        self._lock = threading.RLock()
        self._bodies: dict[str, Body] = {}
        self._registered: dict[str, Body] = {}
        """What the collector knows of ``_bodies``."""
        self._started_s: float | None = None
        """When the collector started, by our clock; a later start is another collector."""
        self._looked_s: float | None = None
        self._begun_s = clock.unix_ns() / 1e9
        self._said: dict[str, tuple[int, bool]] | None = None
        """By alert id the highest level told of, and whether its end was; None before the first look."""
        self._counters: dict[str, int] = {}
        self._away_until_s = 0.0
        if _configure.settings_in_force() is None and not _report_to(self._api):
            self._away_until_s = time.monotonic() + _AWAY_S

    def ask(self, path: str, params: Mapping[str, str], *, collects: bool = True) -> dict[str, Any]:
        """See `Host`."""
        if collects:
            self._keep_profiles()
            self.collect()
        return self._api.get(path, params)

    def register(self, agent: str, body: Body) -> None:
        """See `Host`; a collector that does not answer gets the profile once it does."""
        with self._lock:
            self._bodies[agent] = body
            try:
                if time.monotonic() < self._away_until_s:
                    raise ConnectionError("it was away a moment ago")
                self._put(agent, body)
            except ConnectionError:
                self._away_until_s = time.monotonic() + _AWAY_S
                self._count("profiles_waiting")
                _guard.warn_once(
                    "registering a profile",
                    "bmad_otel: the collector at %s does not answer; profiles are registered when it does",
                    self._api.address,
                )

    def set_interval(self, interval_s: float) -> None:
        """The collector judges at its own interval."""

    def collect(self) -> None:
        """See `Host`: what has been recorded is delivered."""
        if not _configure.force_flush(FLUSH_TIMEOUT_S):
            self._count("flushes_unfinished")

    def judge(self) -> None:
        """See `Host`: look for alerts that are new, worse or resolved."""
        try:
            self._keep_profiles(at_once=True)
            found = self._api.get("alerts", {"limit": str(MAX_POINTS)})["alerts"]
        except (ConnectionError, Unanswered) as error:
            self._count("looks_unanswered")
            _guard.warn_once("looking for alerts", "bmad_otel: %s; looking again at each interval", error)
            return
        for event in self._news(found):
            self._listener(event)

    def counters(self) -> dict[str, int]:
        """``profiles_waiting``, ``profiles_refused``, ``looks_unanswered``, ``flushes_unfinished``: how often."""
        return dict(self._counters)

    def close(self) -> None:
        """See `Host`."""

    def _news(self, alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events, oldest first; what was over before we began is no news."""
        with self._lock:
            earlier = self._said
            said: dict[str, tuple[int, bool]] = {}
            events: list[tuple[float, dict[str, Any]]] = []
            for alert in alerts:
                level = _LEVELS.index(alert["level"])
                told = None if earlier is None else earlier.get(alert["alert_id"])
                said[alert["alert_id"]] = (max(level, told[0]) if told else level, alert["resolved"])
                if told is None and alert["timestamp"] < self._begun_s:
                    continue
                if told is None or level > told[0]:
                    firing = alert | {"resolved": False, "resolution_time": None}
                    events.append((alert["timestamp"], {"kind": "fired" if told is None else "escalated",
                                                        "alert": firing}))  # fmt: skip
                if alert["resolved"] and not (told and told[1]):
                    events.append((alert["resolution_time"], {"kind": "resolved", "alert": alert}))
            self._said = said
            return [event for _, event in sorted(events, key=lambda event: event[0])]

    def _keep_profiles(self, *, at_once: bool = False) -> None:
        """Register what a restarted collector has lost, or one that was away has not got."""
        with self._lock:
            if not self._bodies:
                return
            now_s = time.monotonic()
            if not at_once and self._looked_s is not None and now_s - self._looked_s < _LOOK_EVERY_S:
                return
            self._looked_s = now_s
            started_s = now_s - float(self._api.get("status")["uptime_s"])
            if self._started_s is None or started_s > self._started_s + _LOOK_EVERY_S:
                if self._started_s is not None:
                    self._registered = {}
                self._started_s = started_s
            for agent, body in self._bodies.items():
                if self._registered.get(agent) is not body:
                    self._put(agent, body)

    def _put(self, agent: str, body: Body) -> None:
        try:
            self._api.put(f"profiles/{agent}", {"persist": "false", "replace": "true"}, body)
        except Unanswered as error:
            self._bodies.pop(agent, None)
            self._count("profiles_refused")
            raise ValueError(f"the collector at {self._api.address} refused the profile of {agent}: {error}") from None
        self._registered[agent] = body

    def _count(self, reason: str) -> None:
        self._counters[reason] = self._counters.get(reason, 0) + 1


def _report_to(api: Api) -> bool:
    """Have the SDK report to the collector, unless the program's environment says where. False if it did not answer."""
    if _settings.variable("OTEL_EXPORTER_OTLP_ENDPOINT"):
        _configure.configure()
        return True
    port = _otlp_port(api)
    _configure.configure(endpoint=f"http://{_bracketed(api.host)}:{port or _OTLP_PORT}")
    return port is not None


def _otlp_port(api: Api) -> int | None:
    try:
        endpoints = api.get("status")["endpoints"]
        found = {name.rpartition("/")[2]: int(address.rpartition(":")[2]) for name, address in endpoints.items()}
    except (ConnectionError, Unanswered, KeyError, ValueError, AttributeError):
        return None
    return found.get("grpc")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
