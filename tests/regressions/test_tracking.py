"""Tasks that are started and ended by name."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bmad_otel import PerformanceMonitor, track_task
from bmad_otel.testing import ManualClock

Passing = Callable[[float], None]


def test_two_agents_may_use_the_same_task_id(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    monitor.start_task_tracking("Architect", "task_1")
    clock.advance(1)
    monitor.start_task_tracking("ProductOwner", "task_1")
    clock.advance(1)
    monitor.end_task_tracking("Architect", "task_1")
    monitor.end_task_tracking("ProductOwner", "task_1")
    passing(5)
    for agent, seconds in (("Architect", 2), ("ProductOwner", 1)):
        metrics = monitor.get_agent_performance_summary(agent)["current_metrics"]
        assert metrics["response_time"]["value"] == pytest.approx(seconds)
        assert metrics["active_tasks"]["value"] == 0
    assert monitor.dropped == {}


def test_a_task_that_never_ends_is_given_up(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    for number in range(1000):
        monitor.start_task_tracking("Architect", f"t{number}")
    passing(5)
    running = monitor.get_agent_performance_summary("Architect")["current_metrics"]["active_tasks"]["value"]
    assert running > 0
    clock.advance(4000)
    passing(65)
    assert monitor.dropped == {"expired": 1000}
    assert monitor.get_agent_performance_summary("Architect")["current_metrics"]["active_tasks"]["value"] == 0


def test_threads_lose_no_task(monitor: PerformanceMonitor, passing: Passing) -> None:
    def work(name: str) -> None:
        for number in range(300):
            monitor.start_task_tracking("Architect", f"{name}-{number}")
            monitor.end_task_tracking("Architect", f"{name}-{number}", success=number % 3 > 0)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passing(5)
    summary = monitor.get_agent_performance_summary("Architect")
    assert (summary["tasks_total"], summary["errors_total"]) == (2400, 800)
    assert summary["current_metrics"]["active_tasks"]["value"] == 0


def test_an_agent_whose_own_code_is_wrong_fails_as_without_us_and_is_seen_failing(
    monitor: PerformanceMonitor, passing: Passing
) -> None:
    """Handlers that use an attribute their class never sets."""

    class ProductOwnerAgent:
        @track_task(agent="ProductOwner")
        def handle(self) -> None:
            self.monitor.log_metric("stories", 1)  # type: ignore[attr-defined]

    for _ in range(5):
        with pytest.raises(AttributeError, match="has no attribute 'monitor'"):
            ProductOwnerAgent().handle()
    passing(5)
    summary = monitor.get_agent_performance_summary("ProductOwner")
    assert (summary["tasks_total"], summary["errors_total"]) == (5, 5)
    assert summary["current_metrics"]["error_rate"]["value"] == 100
