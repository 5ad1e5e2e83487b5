"""Names, units and numbers that users of the BMAD performance monitor know."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import pytest

from bmad_otel import AlertLevel, MetricType, PerformanceMonitor, create_default_agent_profiles
from bmad_otel.compat.metrics_collector import MetricType as EitherMetricType
from bmad_otel.monitor._singleton import seed_profiles
from bmad_processor.metric_types import METRIC_TYPES
from bmad_processor.model import Level


def test_metric_types_are_those_of_the_original() -> None:
    known = {
        "CPU_USAGE": "%", "MEMORY_USAGE": "%", "DISK_IO": "bytes/second", "NETWORK_IO": "bytes/second",
        "RESPONSE_TIME": "seconds", "THROUGHPUT": "tasks/second", "ERROR_RATE": "%", "SUCCESS_RATE": "%",
        "QUEUE_SIZE": "count", "ACTIVE_TASKS": "count",
    }  # fmt: skip
    assert issubclass(MetricType, Enum)
    assert {member.name: member.value for member in MetricType} == {name: name.lower() for name in (*known, "CUSTOM")}
    assert {name: METRIC_TYPES[name.lower()].display_unit for name in known} == known


def test_members_that_were_never_there_fail_as_before() -> None:
    """Agents ask for some inside of a try and go on after the AttributeError."""
    for name in ("DEPLOYMENT_TIME", "QUALITY_SCORE", "COUNTER", "GAUGE"):
        with pytest.raises(AttributeError):
            getattr(MetricType, name)


def test_the_second_monitor_s_metric_types_are_a_part_of_its_stand_in_s() -> None:
    """Two enums of one name: an agent may import either, and gets one that has all members."""
    both = {member.name: member.value for member in EitherMetricType}
    assert {member.name: member.value for member in MetricType}.items() <= both.items()
    others = {"CACHE_HIT_RATE", "API_CALLS", "WORKFLOW_DURATION", "AGENT_ACTIVITY"}
    assert both.keys() - {member.name for member in MetricType} == others
    assert all(both[name] == name.lower() for name in others)


def test_types_of_either_enum_are_taken(monitor: PerformanceMonitor, passing: Callable[[float], None]) -> None:
    monitor._record_metric("Architect", EitherMetricType.SUCCESS_RATE, 95, "%")  # type: ignore[arg-type]
    monitor._record_metric("Architect", EitherMetricType.CACHE_HIT_RATE, 80, "%")  # type: ignore[arg-type]
    passing(5)
    summary = monitor.get_agent_performance_summary("Architect")
    assert summary["self_reported"]["success_rate"]["value"] == 95
    assert "success_rate" not in summary["current_metrics"]
    assert monitor.dropped == {}


def test_levels_are_those_of_the_original() -> None:
    assert {level.name: level.value for level in AlertLevel} == {
        name: name.lower() for name in ("INFO", "WARNING", "CRITICAL", "EMERGENCY")
    }
    # in OTLP as severity numbers 9, 13, 17 and 21
    assert [level.label for level in sorted(Level)] == [level.value for level in AlertLevel]


def test_seed_profiles_say_what_they_said() -> None:
    assert callable(create_default_agent_profiles)
    found = {
        profile.agent_name: (
            *(tuple(levels[level] for level in (AlertLevel.WARNING, AlertLevel.CRITICAL))
              for levels in (profile.thresholds[kind] for kind in (
                  MetricType.CPU_USAGE, MetricType.RESPONSE_TIME, MetricType.ERROR_RATE))),
            *(profile.scaling_rules[key] for key in ("cpu_threshold", "memory_threshold", "max_instances")),
        )
        for profile in seed_profiles()
    }  # fmt: skip
    assert found == {
        "ProductOwner": ((60, 80), (3, 8), (3, 8), 70, 80, 3),
        "Architect": ((70, 85), (5, 12), (2, 5), 75, 85, 2),
        "TestEngineer": ((80, 90), (10, 20), (5, 10), 85, 90, 5),
    }
    assert all(profile.monitoring_enabled and profile.auto_scaling_enabled for profile in seed_profiles())


def test_default_thresholds_are_those_of_the_original(monitor: PerformanceMonitor) -> None:
    levels = (AlertLevel.WARNING, AlertLevel.CRITICAL, AlertLevel.EMERGENCY)
    found = {kind: tuple(by_level[level] for level in levels) for kind, by_level in monitor.default_thresholds.items()}
    assert found == {
        MetricType.CPU_USAGE: (70, 85, 95), MetricType.MEMORY_USAGE: (80, 90, 95),
        MetricType.RESPONSE_TIME: (5, 10, 30), MetricType.ERROR_RATE: (5, 10, 20),
        MetricType.QUEUE_SIZE: (100, 500, 1000),
    }  # fmt: skip
