"""What one tracked call costs in every set-up, beside a bare span, the same signals by hand, and the peers."""

from __future__ import annotations

from dataclasses import dataclass

from sdk import venvs
from sdk.children import ChildFailed, Group
from sdk.costs import Cost, Ratio, trouble
from sdk.receiver import Receiver
from sdk.table import show, us, verdict


@dataclass(frozen=True)
class Row:
    """A form in the table: where it runs, and which form is the same function untracked."""

    title: str
    child: str
    form: str
    baseline: str = "plain"
    spans_per_call: int = 1


BARE = Row("bare `start_as_current_span`, no attributes", "bare", "bare")
BY_HAND = Row("the same signals by hand", "by hand", "by hand")
TRACKED = Row("`@track_task`, providers made by `configure()`", "configured", "tracked")
APPLICATION = Row("`@track_task`, the application's own providers", "application", "tracked")
APPLICATION_BY_HAND = Row("the same signals by hand, the application's own providers", "application", "by hand")
SAMPLED_OUT = Row("`@track_task`, span sampled out", "sampled out", "tracked", spans_per_call=0)
NO_PROVIDERS = Row("`@track_task`, no providers", "no providers", "tracked", spans_per_call=0)
COROUTINE = Row("`@track_task`, coroutine with 10 awaits", "configured", "coroutine", "plain coroutine")
BARE_COROUTINE = Row("bare span around 10 awaits", "configured", "bare coroutine", "plain coroutine")
ROWS = (
    BARE,
    BY_HAND,
    TRACKED,
    APPLICATION_BY_HAND,
    APPLICATION,
    SAMPLED_OUT,
    NO_PROVIDERS,
    Row("`@track_task`, method with `self`", "configured", "method", "plain method"),
    BARE_COROUTINE,
    COROUTINE,
    Row("`@track_task`, generator with 10 items", "configured", "generator", "plain generator"),
    Row("`@track_task(capture=True)`, 2 arguments and a result", "configured", "content", "plain content"),
)
_TRACKING = ("tracked", "method", "coroutine", "generator", "content")


def report(receiver: Receiver, *, rounds: int, calls: int, with_peers: bool) -> None:
    """Print the tables of calls and of targets, and with peers theirs; all of one run."""
    with Group() as group:
        endpoint = receiver.endpoint
        for name, module in (("bare", "bare"), ("by hand", "by_hand"), ("configured", "configured"),
                             ("application", "application"), ("no providers", "no_providers")):  # fmt: skip
            group.start(name, f"sdk.setups.{module}", BENCHMARK_ENDPOINT=endpoint, OTEL_SERVICE_NAME=name)
        group.start("sampled out", "sdk.setups.configured", BENCHMARK_ENDPOINT=endpoint,
                    OTEL_SERVICE_NAME="sampled out", OTEL_TRACES_SAMPLER="always_off")  # fmt: skip
        cells = dict.fromkeys((row.child, form) for row in ROWS for form in (row.baseline, row.form))
        cells |= dict.fromkeys((name, "bare") for name in ("by hand", "configured", "application"))
        peers = venvs.peers() if with_peers else []
        for peer in peers:
            _start(group, peer)
            cells |= dict.fromkeys((peer.name, form) for form in ("plain", "bare", "peer"))
        group.run(cells, rounds=rounds, calls=calls)
        _show_calls(group, rounds, calls)
        _show_targets(group, receiver)
        if peers:
            _show_peers(group, peers)


def _start(group: Group, peer: venvs.Peer) -> None:
    try:
        python = venvs.python_of(peer)
    except venvs.InstallFailed as error:
        group.failed[peer.name] = f"not installed: {' '.join(str(error).split())[-300:]}"
        return
    group.start(peer.name, peer.module, python=python)


def _cost(group: Group, row: Row) -> Cost | str:
    """What the row cost, or why that is not known."""
    error = trouble(group, row.child, row.form, spans_per_call=row.spans_per_call)
    return error if error is not None else Cost.of(group, row.child, row.form, baseline=row.baseline)


def _show_calls(group: Group, rounds: int, calls: int) -> None:
    rows = []
    bare = _cost(group, BARE)
    for row in ROWS:
        cost = _cost(group, row)
        if isinstance(cost, str) or isinstance(bare, str):
            rows.append([row.title, "error", "", "", "", str(cost)])
            continue
        beside = bare if row.child in ("bare", "sampled out", "no providers") else Cost.of(group, row.child, "bare")
        rows.append(
            [
                row.title,
                us(cost.caller_median_s),
                us(cost.whole_median_s),
                f"{Ratio.of(cost.caller_s, beside.caller_s).value:.2f}",
                f"{Ratio.of(cost.whole_s, bare.whole_s).value:.2f}",
                "",
            ]
        )
    bares = [f"{name} {us(Cost.of(group, name, 'bare').caller_median_s)}" for name in group.children
             if not (group.samples.get((name, "bare")) is None or group.samples[name, "bare"].error)]  # fmt: skip
    header = ["form", "caller us", "process us", "caller x bare", "process x bare", ""]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    show(
        "One call",
        header,
        rows,
        f"CPU over the same function untracked; median of {rounds} rounds of {calls:,} calls, all forms in turn. "
        "Caller: the calling thread. Process: all threads, one collection and export of the metrics a round included. "
        "The caller's ratio is to a bare span in the same process, the process's to a process that has no metrics.",
        f"Bare span in each process, us: {', '.join(bares)}.",
    )


def _show_targets(group: Group, receiver: Receiver) -> None:
    costs = {row.title: _cost(group, row) for row in ROWS}
    rows = []

    def target(title: str, limit: float, numerator: Row, denominator: Row | Cost) -> None:
        a, b = costs[numerator.title], denominator if isinstance(denominator, Cost) else costs[denominator.title]
        if isinstance(a, str) or isinstance(b, str):
            rows.append([title, str(a if isinstance(a, str) else b), "", f"{limit:g} x", "MISSED"])
            return
        caller, whole = Ratio.of(a.caller_s, b.caller_s), Ratio.of(a.whole_s, b.whole_s)
        rows.append([title, f"{caller} x", f"{whole} x", f"{limit:g} x", verdict(caller.value, limit)])

    def limit_us(title: str, limit: float, cost: Cost | str, less: Cost | str | None = None) -> None:
        if isinstance(cost, str) or isinstance(less, str):
            rows.append([title, str(cost if isinstance(cost, str) else less), "", f"{limit:g} us", "MISSED"])
            return
        caller = cost.caller_median_s - (less.caller_median_s if less else 0)
        whole = cost.whole_median_s - (less.whole_median_s if less else 0)
        rows.append([title, f"{us(caller)} us", f"{us(whole)} us", f"{limit:g} us", verdict(caller * 1e6, limit)])

    in_process: Row | Cost = BARE
    if "configured" in group.children and not group.samples["configured", "bare"].error:
        in_process = Cost.of(group, "configured", "bare")
    target("`@track_task` beside a bare span", 1.25, TRACKED, in_process)
    target("`@track_task` beside the same by hand", 0.6, TRACKED, BY_HAND)
    target("the same, on the application's own providers", 0.6, APPLICATION, APPLICATION_BY_HAND)
    target("span sampled out beside recorded", 0.5, SAMPLED_OUT, TRACKED)
    limit_us("no providers", 1, costs[NO_PROVIDERS.title])
    limit_us("10 awaits, over the sync call", 3, costs[COROUTINE.title], costs[TRACKED.title])
    limit_us("10 awaits, over a bare span around them", 3, costs[COROUTINE.title], costs[BARE_COROUTINE.title])
    show(
        "Targets",
        ["what", "caller", "process", "at most", "caller's is"],
        rows,
        "Ratios: median of the rounds' own ratios, and their quartiles.",
        *_truth(group, receiver),
    )


def _truth(group: Group, receiver: Receiver) -> list[str]:
    """Whether what was compared did the same work: the signals alike, and none of them lost."""
    notes = []
    for name in ("configured", "sampled out"):
        if name in group.children:
            made = sum(group.children[name].calls.get(form, 0) for form in _TRACKING)
            notes.append(f"Durations that arrived at the receiver, {name}: {receiver.tasks(name):,} of {made:,} tasks.")
    try:
        ours = group.children["configured"].ask(last_span="tracked")
        by_hand = group.children["by hand"].ask(last_span="by hand")
    except (ChildFailed, KeyError) as error:
        return [*notes, f"The signals were not compared: {error}"]
    on_durations = receiver.duration_attributes("configured") == receiver.duration_attributes("by hand")
    if ours == by_hand and on_durations:
        notes.append("Spans and durations by hand have the very name and attributes of ours.")
    else:
        notes.append(f"NOT the same signals: by hand {by_hand} {receiver.duration_attributes('by hand')}, ours {ours} "
                     f"{receiver.duration_attributes('configured')}.")  # fmt: skip
    return notes


def _show_peers(group: Group, peers: list[venvs.Peer]) -> None:
    ours = _cost(group, TRACKED)
    bare = _cost(group, BARE)
    rows = []
    if not isinstance(ours, str) and not isinstance(bare, str):
        beside = Cost.of(group, "configured", "bare")
        rows.append(["bmad-otel", "", *_figures(ours, beside), "1.00", "1.00"])
    for peer in peers:
        error = trouble(group, peer.name, "peer")
        if error is not None:
            rows.append([peer.requirements[0], "", f"error: {error}", "", "", "", "", ""])
            continue
        cost, beside = Cost.of(group, peer.name, "peer"), Cost.of(group, peer.name, "bare")
        versions = group.children[peer.name].versions
        ratios = ["", ""]
        if not isinstance(ours, str):
            ratios = [f"{Ratio.of(cost.caller_s, ours.caller_s).value:.2f}",
                      f"{Ratio.of(cost.whole_s, ours.whole_s).value:.2f}"]  # fmt: skip
        title = " ".join(versions.get(peer.name, "").join((f"{peer.name} ", "")).split())
        rows.append([title, versions.get("opentelemetry-sdk", ""), *_figures(cost, beside), *ratios])
    show(
        "Peers",
        ["decorator", "SDK", "caller us", "process us", "bare span there us", "x bare there", "x ours, caller",
         "x ours, process"],
        rows,
        "Same run as above. Each peer in its own environment and process, an empty sync function under its decorator "
        "with its ordinary set-up; spans are thrown away at the end. Theirs carry other attributes than ours, and no "
        "metrics.",
    )  # fmt: skip


def _figures(cost: Cost, bare: Cost) -> list[str]:
    return [
        us(cost.caller_median_s),
        us(cost.whole_median_s),
        us(bare.caller_median_s),
        f"{Ratio.of(cost.caller_s, bare.caller_s).value:.2f}",
    ]
