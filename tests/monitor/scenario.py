"""One program with a monitor, whatever the host: ``python -m tests.monitor.scenario`` prints what it was told.

The agents do nothing but wait, so what is measured is the same in every run but for the noise of the machine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceAlert, PerformanceMonitor, track_task

CONFIG = {"monitoring_interval": 1.0, "evaluation_window": 6}
COLLECTOR = {"monitoring_interval": "1s", "evaluation_window": "6s", "allowed_lateness": "1s",
             "commit_interval": "100ms"}  # fmt: skip
"""The same for a collector."""

_LIMIT_S = 45.0


def eventually(is_so: Callable[[], Any], what: str) -> Any:
    """The first truthy answer; ends the program when there is none."""
    deadline = time.monotonic() + _LIMIT_S
    while not (found := is_so()):
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {_LIMIT_S:g} s")
        time.sleep(0.05)
    return found


def main() -> None:
    heard: list[PerformanceAlert] = []
    monitor = PerformanceMonitor(CONFIG)
    monitor.add_alert_callback(heard.append)
    monitor.register_agent_profile(
        AgentPerformanceProfile(
            "product-owner",
            thresholds={MetricType.RESPONSE_TIME: {AlertLevel.WARNING: 0.1, AlertLevel.CRITICAL: 0.2}},
            scaling_rules={"cpu_threshold": 70, "max_instances": 3},
        )
    )
    monitor.register_agent_profile(AgentPerformanceProfile("system", monitoring_enabled=False))
    monitor.start_monitoring(1)

    @track_task(agent="ArchitectAgent")
    def draw(*, works: bool) -> None:
        if not works:
            raise RuntimeError("out of ink")

    for number in range(10):
        with suppress(RuntimeError):
            draw(works=number % 2 == 0)
    monitor.start_task_tracking("ProductOwner", "slow")
    time.sleep(0.3)
    monitor.end_task_tracking("ProductOwner", "slow")
    monitor.log_metric("stories", 3, "count", "ProductOwnerAgent")
    monitor._record_metric("ProductOwner", MetricType.SUCCESS_RATE, 12, "%")
    found: dict[str, Any] = {
        agent: eventually(lambda agent=agent: complete(monitor, agent), f"the summary of {agent}")
        for agent in ("ProductOwner", "Architect")
    }
    eventually(lambda: of_owner(heard), "an alert")
    for number in range(100):
        monitor.start_task_tracking("ProductOwner", f"{number}")
        monitor.end_task_tracking("ProductOwner", f"{number}")
    eventually(lambda: [alert for alert in of_owner(heard) if alert.resolved], "its end")
    monitor.wait_for_callbacks()
    document = json.loads(monitor.export_performance_data())
    found["system"] = monitor.get_system_performance_summary()
    found["alerts"] = [shown(alert) for alert in monitor.alerts]
    found["heard"] = [shown(alert) for alert in heard]
    found["idle"] = monitor.get_agent_performance_summary("system_of_nobody")
    found["export"] = sorted(document)
    found["history"] = sorted(monitor.metrics_history)
    found["dropped"] = monitor.dropped
    monitor.stop_monitoring()
    json.dump(found, sys.stdout)


def of_owner(alerts: list[PerformanceAlert]) -> list[PerformanceAlert]:
    return [alert for alert in alerts if alert.agent_name == "ProductOwner"]


def complete(monitor: PerformanceMonitor, agent: str) -> dict[str, Any] | None:
    """The summary once everything is in it: the rate of CPU time takes a second look. Of tasks that are started and
    ended by name nobody knows which code is theirs, so beside an agent with tracked functions they have none."""
    wanted = {"response_time", "cpu_usage"} if agent == "Architect" else {"response_time", "custom:stories"}
    summary = monitor.get_agent_performance_summary(agent)
    return summary if wanted <= summary.get("current_metrics", {}).keys() else None


def shown(alert: PerformanceAlert) -> dict[str, Any]:
    return asdict(alert) | {"level": alert.level.value, "metric_type": alert.metric_type.value}


if __name__ == "__main__":
    main()
