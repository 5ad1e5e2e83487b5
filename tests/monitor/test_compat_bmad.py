"""BMAD's monitor module swapped for ours: client code in the shapes its agents have runs unchanged."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bmad_otel.monitor
from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceAlert, PerformanceMetric
from bmad_otel.monitor import PerformanceMonitor
from bmad_otel.monitor._config import Config

CLIENT = {
    "bmad/__init__.py": "",
    "bmad/agents/__init__.py": "",
    "bmad/agents/core/__init__.py": "",
    "bmad/agents/core/agent/__init__.py": """
        from .agent_performance_monitor import get_performance_monitor, MetricType, AlertLevel, PerformanceMonitor
    """,
    "bmad/agents/core/agent/agent_performance_monitor.py": """
        raise RuntimeError("the original")
    """,
    "bmad/agents/rnd.py": """
        import asyncio
        from bmad.agents.core.agent.agent_performance_monitor import get_performance_monitor, MetricType

        class RnDAgent:
            def __init__(self):
                self.agent_name = "RnDAgent"
                self.monitor = get_performance_monitor()

            def _record_helper(self, name, value, unit="%"):
                try:
                    self.monitor._record_metric("RnD", MetricType.SUCCESS_RATE, value, unit)
                except Exception as error:
                    raise AssertionError("the monitor raised") from error

            async def conduct_research(self, topic="x"):
                await asyncio.sleep(0)
                self._record_helper("research_time", 3.7e-05, "s")
                self.monitor.log_metric("research", {"topic": topic, "papers": 3})
                self.monitor.log_metric("papers_read", 1)
                return {"status": "completed"}

            def wrong_orders(self):
                self.monitor.record_metric(MetricType.SUCCESS_RATE, "tests_generated", 15.0, {"component": "x"})
                self.monitor._record_metric("RnDAgent", MetricType.RESPONSE_TIME, 95, {"score": 95})
                self.monitor._record_metric("RnDAgent", MetricType.SUCCESS_RATE, 95, "%")
                try:
                    self.monitor._record_metric("RnDAgent", MetricType.DEPLOYMENT_TIME, 1, "s")
                except AttributeError:
                    return "as before"
    """,
    "bmad/agents/orchestrator.py": """
        from bmad.agents.core.agent.agent_performance_monitor import (
            AgentPerformanceProfile, AlertLevel, MetricType, get_performance_monitor,
        )

        class OrchestratorAgent:
            def __init__(self):
                self.agent_name = "OrchestratorAgent"
                self.monitor = get_performance_monitor()
                self.monitor.register_agent_profile(AgentPerformanceProfile(
                    agent_name=self.agent_name,
                    thresholds={
                        MetricType.RESPONSE_TIME: {AlertLevel.WARNING: 5.0, AlertLevel.CRITICAL: 10.0},
                        MetricType.SUCCESS_RATE: {AlertLevel.WARNING: 90.0, AlertLevel.CRITICAL: 85.0},
                        MetricType.MEMORY_USAGE: {AlertLevel.WARNING: 512, AlertLevel.CRITICAL: 1024},
                        MetricType.CPU_USAGE: {AlertLevel.WARNING: 80, AlertLevel.CRITICAL: 95},
                    },
                ))

            def execute(self, task_id, work, agent="product-owner"):
                self.monitor.start_task_tracking(agent, task_id)
                try:
                    result = work()
                    self.monitor.end_task_tracking(agent, task_id, success=True)
                    return result
                except Exception:
                    self.monitor.end_task_tracking(agent, task_id, success=False)
                    raise
    """,
}
"""Names and imports as BMAD's; the code is ours."""

PROGRAM = """
import asyncio, logging, os, sys, threading, warnings

handlers = list(logging.getLogger().handlers)
import bmad_otel.compat.bmad as ours
from opentelemetry import metrics, trace

assert threading.enumerate() == [threading.main_thread()]
assert os.listdir(os.getcwd()) == []
assert logging.getLogger().handlers == handlers
assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
assert type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
assert list(ours.get_performance_monitor().agent_profiles) == ["ProductOwner", "Architect", "TestEngineer"]
assert not ours.get_performance_monitor().monitoring_active

sys.modules["bmad.agents.core.agent.agent_performance_monitor"] = ours
from bmad.agents.core.agent import PerformanceMonitor, get_performance_monitor
from bmad.agents.orchestrator import OrchestratorAgent
from bmad.agents.rnd import RnDAgent

monitor = get_performance_monitor()
assert isinstance(monitor, PerformanceMonitor)
agent = RnDAgent()
assert asyncio.run(agent.conduct_research()) == {"status": "completed"}
assert agent.wrong_orders() == "as before"
orchestrator = OrchestratorAgent()
assert orchestrator.execute("workflow_123_task_456", lambda: 7) == 7
try:
    orchestrator.execute("workflow_123_task_457", lambda: 1 / 0)
except ZeroDivisionError:
    pass
else:
    raise AssertionError
monitor.start_monitoring(interval=5.0)
summary = monitor.get_agent_performance_summary("ProductOwner")
assert (summary["tasks_total"], summary["errors_total"]) == (2, 1), summary
assert summary["scaling"]["max"] == 3
rnd = monitor.get_agent_performance_summary("RnDAgent")
assert rnd["self_reported"]["success_rate"]["value"] == 95, rnd
assert rnd["self_reported"]["response_time"]["value"] == 95, rnd
assert "success_rate" not in rnd["current_metrics"]
assert rnd["current_metrics"]["custom:papers_read"]["value"] == 1
assert rnd["current_metrics"]["custom:tests_generated"]["value"] == 15
profile = monitor.get_agent_performance_summary("Orchestrator")["thresholds"]
assert profile["memory_bytes"] == {"warning": 512, "critical": 1024}, profile
assert profile["success_rate"] == {"warning": 90, "critical": 85}
assert set(monitor.get_system_performance_summary()) >= {
    "cpu_usage", "memory_usage", "disk_io", "network_io", "active_agents", "total_alerts",
}
assert monitor.alerts == []
assert monitor.export_performance_data("json").startswith("{")
assert monitor.dropped == {}, monitor.dropped
monitor.stop_monitoring()
assert os.listdir(os.getcwd()) == []
"""


def test_swapped_in_it_serves_code_written_for_the_original(tmp_path: Path) -> None:
    library, directory = tmp_path / "library", tmp_path / "empty"
    directory.mkdir()
    for name, text in CLIENT.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    program = f"import sys; sys.path.insert(0, {str(library)!r})\n{PROGRAM}"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=directory, capture_output=True, text=True, timeout=60,
        env={"BMAD_OTEL_RAISE_INTERNAL": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    # the one warning: megabytes given for percent
    assert result.stderr.count("\n") == 1
    assert "MiB" in result.stderr


def test_the_names_are_those_of_the_original() -> None:
    source = Path(inspect.getfile(bmad_otel.monitor)).parents[1] / "compat" / "bmad.py"
    tree = ast.parse(source.read_text())
    names = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == {
        "MetricType", "AlertLevel", "PerformanceMetric", "PerformanceAlert", "AgentPerformanceProfile",
        "PerformanceMonitor", "get_performance_monitor", "create_default_agent_profiles",
    }  # fmt: skip
    assert {name: member.value for name, member in MetricType.__members__.items()} == {
        name: name.lower()
        for name in ("CPU_USAGE", "MEMORY_USAGE", "DISK_IO", "NETWORK_IO", "RESPONSE_TIME", "THROUGHPUT",
                     "ERROR_RATE", "SUCCESS_RATE", "QUEUE_SIZE", "ACTIVE_TASKS", "CUSTOM")
    }  # fmt: skip
    assert [(level.value, level.severity_number) for level in AlertLevel] == [
        ("info", 9), ("warning", 13), ("critical", 17), ("emergency", 21),
    ]  # fmt: skip
    assert AlertLevel.INFO < AlertLevel.WARNING < AlertLevel.CRITICAL < AlertLevel.EMERGENCY
    assert max(AlertLevel) is AlertLevel.EMERGENCY


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PerformanceMetric, "metric_type value unit timestamp agent_name context"),
        (PerformanceAlert, "alert_id level message metric_type current_value threshold agent_name timestamp resolved "
                           "resolution_time"),
        (AgentPerformanceProfile, "agent_name baseline_metrics thresholds scaling_rules monitoring_enabled "
                                  "auto_scaling_enabled"),
    ],
)  # fmt: skip
def test_the_fields_are_those_of_the_original(kind: type, fields: str) -> None:
    assert [field.name for field in dataclasses.fields(kind)] == fields.split()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("register_agent_profile", "self profile"),
        ("start_monitoring", "self interval"),
        ("stop_monitoring", "self"),
        ("start_task_tracking", "self agent_name task_id"),
        ("end_task_tracking", "self agent_name task_id success"),
        ("_record_metric", "self agent_name metric_type value unit"),
        ("log_metric", "self metric_name value unit agent_name"),
        ("record_metric", "self metric_name value unit agent_name"),
        ("get_agent_performance_summary", "self agent_name time_window"),
        ("get_system_performance_summary", "self"),
        ("export_performance_data", "self format"),
        ("add_alert_callback", "self callback"),
        ("_collect_custom_metrics", "self agent_name"),
    ],
)
def test_the_methods_are_those_of_the_original(method: str, parameters: str) -> None:
    assert list(inspect.signature(getattr(PerformanceMonitor, method)).parameters) == parameters.split()


def test_the_attributes_are_those_of_the_original(monitor: PerformanceMonitor) -> None:
    assert isinstance(monitor.config, dict)
    assert isinstance(monitor.alerts, list)
    assert isinstance(monitor.agent_profiles, dict)
    assert isinstance(monitor.alert_callbacks, list)
    assert isinstance(monitor.default_thresholds, dict)
    assert monitor.monitoring_active is False
    assert monitor.metrics_history.get("nothing") is None


def test_the_page_names_every_method_and_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text()
    public = {name for name in vars(PerformanceMonitor) if not name.startswith("_")} - {"after_fork_in_child"}
    assert sorted(name for name in public if name not in page) == []
    fields = {field.name for kind in (PerformanceAlert, AgentPerformanceProfile) for field in dataclasses.fields(kind)}
    assert sorted(field for field in fields if f"`{field}`" not in page) == []
    assert sorted(key for key in Config.__dataclass_fields__ if f"`{key}`" not in page) == []
