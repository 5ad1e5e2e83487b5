"""Many threads calling an empty tracked function: a lock they all wait for would show as CPU that grows with them."""

from __future__ import annotations

import statistics

from sdk.children import Child, ChildFailed
from sdk.receiver import Receiver
from sdk.table import show, us

_THREADS = (1, 2, 4, 8)
_FORMS = {"bare": "bare span", "tracked": "`@track_task`"}


def report(receiver: Receiver, *, rounds: int, calls: int) -> None:
    title = "Threads"
    try:
        with Child("sdk.setups.configured", variables={"BENCHMARK_ENDPOINT": receiver.endpoint}) as child:
            samples = _measure(child, rounds, calls)
    except ChildFailed as error:
        show(title, ["error"], [[str(error)]])
        return
    rows = []
    for n in _THREADS:
        row = [str(n)]
        for form in _FORMS:
            walls_s, wholes_s = zip(*samples[form, n], strict=True)
            single_s = statistics.median(whole_s for _, whole_s in samples[form, 1])
            whole_s = statistics.median(wholes_s)
            row += [f"{1 / statistics.median(walls_s):,.0f}", us(whole_s), f"{whole_s / single_s:.2f}"]
        rows.append(row)
    header = ["threads"]
    for name in _FORMS.values():
        header += [f"{name}, calls/s", "CPU us a call", "x one thread"]
    show(
        title, header, rows,
        f"Calls of all threads together by the clock on the wall, and CPU of the process; median of {rounds} rounds "
        f"of {calls:,} calls in turn.",
    )  # fmt: skip


def _measure(child: Child, rounds: int, calls: int) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Seconds of wall clock and of CPU for one call, by form and number of threads."""
    samples: dict[tuple[str, int], list[tuple[float, float]]] = {(form, n): [] for form in _FORMS for n in _THREADS}
    for _ in range(rounds):
        for form, n in samples:
            answer = child.ask(form=form, calls=calls, warm_up=calls // 20, threads=n)
            samples[form, n].append((answer["wall_s"] / calls, answer["whole_s"] / calls))
    return samples
