"""Agents that are wrong themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bmad_otel import PerformanceMonitor, track_task

Passing = Callable[[float], None]


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
