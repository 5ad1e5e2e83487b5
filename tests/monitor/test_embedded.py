"""The host in this process needs no extra, and judges as the collector does."""

from __future__ import annotations

import subprocess
import sys

from bmad_otel import semconv
from bmad_otel.monitor._observe import _OF_HOST
from bmad_processor.decode.rules import BY_METRIC

PROGRAM = """
import sys

BLOCKED = {"pydantic", "pydantic_core", "typer", "starlette", "uvicorn", "ruamel", "httpx2", "rich", "grpc_status"}


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, Blocked())

from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, get_performance_monitor, track_task

monitor = get_performance_monitor()
monitor.register_agent_profile(
    AgentPerformanceProfile("Clerk", thresholds={MetricType.RESPONSE_TIME: {AlertLevel.WARNING: 3.0}})
)


@track_task(agent="Clerk")
def work():
    pass


work()
monitor.log_metric("pages", 3, "count", "Clerk")
monitor.collect()
summary = monitor.get_agent_performance_summary("Clerk")
assert summary["tasks_total"] == 1, summary
assert monitor.get_system_performance_summary()["active_agents"] == 1
assert monitor.alerts == []
assert "Clerk" in monitor.export_performance_data()
monitor.start_monitoring(60)
monitor.stop_monitoring()
"""


def test_nothing_but_the_sdk_is_needed() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True, timeout=60)


def test_all_of_the_host_that_the_engine_knows_is_read() -> None:
    rows = semconv.PROCESS_METRICS + semconv.SYSTEM_METRICS
    assert set(_OF_HOST) == {row for row in rows if row.name.encode() in BY_METRIC}
