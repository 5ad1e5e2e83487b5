"""Wrong profiles and configurations are refused, every problem at once with its path."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceMonitor
from bmad_otel.monitor._profiles import checked

W, C, E = AlertLevel.WARNING, AlertLevel.CRITICAL, AlertLevel.EMERGENCY
CPU, RESPONSE, ERRORS, MEMORY = (
    MetricType.CPU_USAGE, MetricType.RESPONSE_TIME, MetricType.ERROR_RATE, MetricType.MEMORY_USAGE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"thresholds": {CPU: {W: 90, C: 80}}}, "thresholds.cpu_usage.critical: warning 90 is above critical 80"),
        ({"thresholds": {CPU: {W: 90, E: 80}}}, "thresholds.cpu_usage.emergency: warning 90 is above emergency 80"),
        ({"thresholds": {MetricType.SUCCESS_RATE: {W: 80, C: 90}}},
         "thresholds.success_rate.critical: warning 80 is below critical 90"),
        ({"thresholds": {ERRORS: {W: 101}}}, "thresholds.error_rate.warning: 101 % is over 100 %"),
        ({"thresholds": {RESPONSE: {W: -1}}}, "thresholds.response_time.warning: must be a number, 0 or more, not -1"),
        ({"thresholds": {RESPONSE: {C: float("nan")}}}, "thresholds.response_time.critical: must be a number"),
        ({"thresholds": {RESPONSE: {C: "8s"}}}, "thresholds.response_time.critical: must be a number"),
        ({"thresholds": {RESPONSE: {C: True}}}, "thresholds.response_time.critical: must be a number"),
        ({"thresholds": {RESPONSE: {"fatal": 3}}}, "thresholds.response_time.fatal: unknown level; known are info,"),
        ({"thresholds": {"respnse_time": {C: 3}}}, "thresholds.respnse_time: unknown metric type; known are cpu_usage"),
        ({"thresholds": {MetricType.CUSTOM: {C: 3}}}, "thresholds.custom: unknown metric type"),
        ({"thresholds": {RESPONSE: 3}}, "thresholds.response_time: must be a dict, not 3"),
        ({"thresholds": None}, "thresholds: must be a dict, not None"),
        ({"scaling_rules": {"cpu_treshold": 70}}, "scaling_rules.cpu_treshold: unknown rule; known are cpu_threshold"),
        ({"scaling_rules": {"memory_threshold": 120}}, "scaling_rules.memory_threshold: must be a percentage above 0"),
        ({"scaling_rules": {"max_instances": 0}}, "scaling_rules.max_instances: must be a whole number, 1 or more"),
        ({"scaling_rules": {"max_instances": 2.5}}, "scaling_rules.max_instances: must be a whole number"),
        ({"scaling_rules": {"min_instances": 4, "max_instances": 2}},
         "scaling_rules.min_instances: 4 is more than max_instances 2"),
        ({"baseline_metrics": {"speed": 3}}, "baseline_metrics.speed: unknown metric type"),
        ({"baseline_metrics": {CPU: "low"}}, "baseline_metrics.cpu_usage: must be a number, not 'low'"),
        ({"monitoring_enabled": "yes"}, "monitoring_enabled: must be True or False, not 'yes'"),
        ({"agent_name": " "}, "agent_name: must be a name, not ' '"),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_refused_with_the_path(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="the profile of") as refused:
        checked(AgentPerformanceProfile(**{"agent_name": "Architect", **fields}))
    assert problem in str(refused.value)


def test_all_problems_are_told_at_once_and_nothing_changes(monitor: PerformanceMonitor) -> None:
    profile = AgentPerformanceProfile(
        "Architect", thresholds={CPU: {W: 90, C: 80}, ERRORS: {C: 120}}, scaling_rules={"max_instances": 0}
    )
    before = monitor.agent_profiles
    with pytest.raises(ValueError, match="3 problems") as refused:
        monitor.register_agent_profile(profile)
    assert str(refused.value).count("\n") == 3
    assert monitor.agent_profiles == before
    with pytest.raises(TypeError, match="AgentPerformanceProfile"):
        monitor.register_agent_profile({"agent_name": "Architect"})  # type: ignore[arg-type]


def test_values_are_given_as_people_read_them(monitor: PerformanceMonitor) -> None:
    monitor.register_agent_profile(
        AgentPerformanceProfile(
            "Crunch",
            thresholds={CPU: {W: 150, C: 190}, RESPONSE: {C: 40}, MetricType.SUCCESS_RATE: {W: 95}},
            scaling_rules={"cpu_threshold": 70, "memory_threshold": None, "max_instances": 7},
            auto_scaling_enabled=False,
        )
    )
    summary = monitor.get_agent_performance_summary("Crunch")
    assert summary["thresholds"] == {
        "cpu_usage": {"warning": 150, "critical": 190},  # the default emergency of 95 % contradicts it
        "response_time": {"warning": 5, "critical": 40},
        "success_rate": {"warning": 95},
        "memory_usage": {"warning": 80, "critical": 90, "emergency": 95},
        "error_rate": {"warning": 5, "critical": 10, "emergency": 20},
        "queue_size": {"warning": 100, "critical": 500, "emergency": 1000},
    }
    assert summary["scaling"]["max"] == 7
    assert summary["auto_scaling_enabled"] is False
    assert monitor.agent_profiles["Crunch"].thresholds[CPU] == {W: 150, C: 190}
    assert monitor.default_thresholds[CPU] == {W: 70, C: 85, E: 95}


def test_what_is_read_is_a_copy(monitor: PerformanceMonitor) -> None:
    profile = AgentPerformanceProfile("Architect", thresholds={CPU: {W: 50}})
    monitor.register_agent_profile(profile)
    profile.thresholds[CPU][W] = 1
    monitor.agent_profiles["Architect"].thresholds.clear()
    monitor.default_thresholds.clear()
    assert monitor.agent_profiles["Architect"].thresholds == {CPU: {W: 50}}


def test_memory_above_a_hundred_is_mebibytes(caplog: pytest.LogCaptureFixture) -> None:
    profile = AgentPerformanceProfile("MemoryHog7", thresholds={MEMORY: {W: 512, C: 1024}})
    with caplog.at_level(logging.WARNING, "bmad_otel"):
        body = checked(profile)
        checked(profile)
    assert body["thresholds"] == {"memory_bytes": {"warning": 512, "critical": 1024}}
    assert [record.message for record in caplog.records if "MiB" in record.message] == [
        "bmad_otel: the profile of 'MemoryHog7' has thresholds above 100 for memory_usage, which is in percent; they "
        "are taken as MiB of resident memory"
    ]
    assert checked(AgentPerformanceProfile("A", thresholds={MEMORY: {W: 60}}))["thresholds"] == {
        "memory_usage": {"warning": 60}
    }


def test_defaults_are_those_of_the_engine() -> None:
    from bmad_otel.monitor._types import DEFAULT_THRESHOLDS
    from bmad_processor.settings import Profile
    from bmad_processor.summary import thresholds_of

    ours = {t.value: {level.value: v for level, v in levels.items()} for t, levels in DEFAULT_THRESHOLDS.items()}
    assert ours == thresholds_of(Profile("*"))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"monitoring_interval": 0.5}, "config.monitoring_interval: must be 1 to 60 seconds, not 0.5"),
        ({"monitoring_interval": "5"}, "config.monitoring_interval: must be 1 to 60 seconds, not '5'"),
        ({"metrics_history_size": 0}, "config.metrics_history_size: must be a whole number from 1 to 100,000, not 0"),
        ({"baseline_smoothing": 0}, "config.baseline_smoothing: must be a number above 0 and at most 1, not 0"),
        ({"alert_cooldown": -1}, "config.alert_cooldown: must be 0 to 86400 seconds, not -1"),
        ({"max_alerts": True}, "config.max_alerts: must be a whole number from 1 to 100,000, not True"),
        ({"max_alert": 3}, "config.max_alert: unknown key; did you mean max_alerts?"),
        ({"colour": 3}, "config.colour: unknown key; known are monitoring_interval,"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_path(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        PerformanceMonitor(config)


def test_all_wrong_keys_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"config\.max_alerts: .*; config\.colour: "):
        PerformanceMonitor({"max_alerts": 0, "colour": "red"})
    with pytest.raises(TypeError, match="config must be a dict"):
        PerformanceMonitor([])  # type: ignore[arg-type]


def test_the_configuration_is_in_force(fresh_state: None, clock: Any) -> None:
    monitor = PerformanceMonitor({"metrics_history_size": 3, "max_alerts": 1, "evaluation_window": 12})
    assert monitor.config == {"metrics_history_size": 3, "max_alerts": 1, "evaluation_window": 12}
    tight = {RESPONSE: {W: 1.0}, MetricType.ACTIVE_TASKS: {W: 0.5}}
    monitor.register_agent_profile(AgentPerformanceProfile("A", thresholds=tight))
    monitor.register_agent_profile(AgentPerformanceProfile("system", monitoring_enabled=False))
    for number in range(10):
        monitor.start_task_tracking("A", f"{number}")
        clock.advance(4)
        monitor.collect()
        monitor.end_task_tracking("A", f"{number}")
        clock.advance(1)
        monitor.collect()
    assert len(monitor.alerts) == 1
    assert len(monitor.metrics_history["A_response_time"]) == 3
    assert monitor.get_agent_performance_summary("A")["window_s"] == 15  # whole intervals


@pytest.mark.parametrize("interval", [0.5, 61, float("nan"), "5", True])
def test_a_wrong_interval_is_refused(monitor: PerformanceMonitor, interval: Any) -> None:
    with pytest.raises(ValueError, match="interval must be 1 to 60 seconds"):
        monitor.start_monitoring(interval)
    assert not monitor.monitoring_active
