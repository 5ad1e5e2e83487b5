"""What grows with use, and should not."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from subprocess import CompletedProcess

from bmad_otel import PerformanceMonitor


def test_the_thousandth_event_costs_what_the_first_did(monitor: PerformanceMonitor) -> None:
    """Nothing is rewritten for every event, and none is kept."""

    def record(number: int) -> float:
        begin = time.perf_counter()
        monitor.log_metric("story_written", {"number": number, "points": 3}, "count", "ProductOwner")
        return time.perf_counter() - begin

    first = median(record(number) for number in range(500))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(5_000):
            record(number)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    last = median(record(number) for number in range(500))
    assert grown < 50_000, grown
    # as many events as made the old one four times as slow; half of all calls, so that a busy machine does not matter
    assert last < 3 * first, (first, last)


def test_ever_new_tasks_leave_nothing_behind(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """In a process of its own: the exporter of this one keeps every span."""
    program = """
        import tracemalloc
        from bmad_otel import PerformanceMonitor

        monitor = PerformanceMonitor()

        def work(numbers):
            for number in numbers:
                monitor.start_task_tracking("ProductOwner", f"workflow_{number}_task")
                monitor.end_task_tracking("ProductOwner", f"workflow_{number}_task")

        work(range(1_000))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        work(range(1_000, 4_000))
        print(tracemalloc.get_traced_memory()[0] - before)
    """
    done = run_python(program)
    assert done.stderr == ""
    assert int(done.stdout) < 50_000
