"""MetricsCollector and the monitor beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from subprocess import CompletedProcess

import pytest

from bmad_otel.compat._collected import MAX_LABEL_SETS, MAX_SAMPLES
from bmad_otel.compat.metrics_collector import MAX_NAMES, MetricsCollector, PerformanceMonitor
from bmad_otel.compat.tracing import BMADTracer
from bmad_otel.testing import ManualClock, Telemetry


def test_values_are_kept_and_go_to_instruments(bmad_telemetry: Telemetry) -> None:
    collector = MetricsCollector()
    collector.record_metric("depth", 3, {"queue": "in"}, prefix="bmad_agent")
    collector.record_metric("depth", 5, {"queue": "in"}, prefix="bmad_agent")
    collector.increment_counter("runs", {"agent": "A"})
    collector.increment_counter("runs", {"agent": "A"})
    collector.increment_counter("runs", {"agent": "B"})
    for value in (1.0, 2.0, 9.0):
        collector.record_histogram("plan", value)
    with pytest.raises(KeyError), collector.measure_time("took", {"agent": "A"}):
        raise KeyError("x")
    found = collector.get_metrics()
    assert [metric.value for metric in found["bmad_agent_depth"]] == [3, 5]
    assert sorted(metric.value for metric in found["bmad_runs"]) == [1, 1, 2]
    assert found["bmad_plan_p50"][0].value == 2.0
    assert found["bmad_plan_p99"][0].value == 9.0
    assert found["bmad_took_p50"][0].labels == {"agent": "A"}
    assert list(collector.get_metrics("depth")) == ["bmad_agent_depth"]
    assert collector.get_metrics(time_window=timedelta(seconds=-1)) == {}
    assert {(p.attributes["agent"], p.value) for p in bmad_telemetry.metrics["bmad_runs"]} == {("A", 2), ("B", 1)}
    assert [p.value for p in bmad_telemetry.metrics["bmad_agent_depth"]] == [5]
    assert bmad_telemetry.histogram("bmad_plan").count == 3


def test_a_total_so_far_reaches_a_counter_as_what_it_grew_by(bmad_telemetry: Telemetry) -> None:
    collector = MetricsCollector()
    for total in (10, 15, 2):  # begun anew
        collector.record_metric("bytes", total, metric_type="counter")
    assert bmad_telemetry.value("bmad_bytes") == 17
    assert collector.get_metrics()["bmad_bytes"][-1].value == 2


def test_the_prometheus_text_has_types_help_and_escapes() -> None:
    collector = MetricsCollector()
    collector.increment_counter("runs", {"agent": 'P"l\\a\nn', "2x": "y"})
    collector.record_metric("load-avg", 0.5)
    collector.record_histogram("plan", 2)
    text = collector.get_prometheus_format()
    assert "# TYPE bmad_runs counter\n" in text
    assert 'bmad_runs{_2x="y",agent="P\\"l\\\\a\\nn"} 1\n' in text
    assert "# TYPE bmad_load_avg gauge\nbmad_load_avg 0.5\n" in text
    assert '# TYPE bmad_plan summary\nbmad_plan{quantile="0.5"} 2\n' in text
    assert "bmad_plan_sum 2\nbmad_plan_count 1\n" in text
    line = re.compile(r'(# (HELP|TYPE) [a-zA-Z_:]\w* .*|[a-zA-Z_:]\w*(\{(\w+="(\\.|[^"\\])*",?)*\})? \S+)')
    assert text.endswith("\n")
    assert all(line.fullmatch(each) for each in text.splitlines())
    assert len([each for each in text.splitlines() if each.startswith("# HELP")]) == 3
    assert MetricsCollector().get_prometheus_format() == ""


def test_everything_is_bounded_and_drops_are_counted() -> None:
    collector = MetricsCollector()
    for number in range(MAX_LABEL_SETS + 10):
        collector.record_metric("odd", 1, {"request": number})
    for number in range(MAX_SAMPLES * 2):
        collector.record_metric("long", number)
    for number in range(MAX_NAMES + 10):
        collector.increment_counter(f"name{number}")
    collector.record_metric("bad", float("nan"))
    collector.record_metric("bad", "many")  # type: ignore[arg-type]
    collector.record_metric("long", 1, metric_type="histogram")
    found = collector.get_metrics()
    assert len(found["bmad_odd"]) == MAX_LABEL_SETS
    assert len(found["bmad_long"]) == MAX_SAMPLES
    assert found["bmad_long"][-1].value == MAX_SAMPLES * 2 - 1
    assert len(found) == MAX_NAMES
    # "odd" and "long" were there before; "bad" came when there was no room for further names
    assert collector.dropped == {"label_sets": 10, "names": 13, "not_a_number": 1, "other_kind": 1}
    collector.clear_old_metrics(max_age_hours=-1)
    assert collector.get_metrics() == {}


def test_an_operation_over_its_limit_is_one_alert_until_it_recovers(bmad_telemetry: Telemetry) -> None:
    monitor = PerformanceMonitor()
    monitor.register_agent_profile("Planner", {"response_time_threshold": 1.0, "memory_threshold": 100})
    for duration in (0.5, 2.0, 3.0):
        monitor.record_agent_performance("Planner", "plan", duration, success=duration < 3)
    assert [alert["resolved"] for alert in monitor.performance_alerts] == [False]
    monitor.record_agent_performance("Planner", "plan", 0.5, memory_usage=512, cpu_usage=10)
    summary = monitor.get_agent_performance_summary("Planner")
    assert summary["total_operations"] == 4
    assert summary["success_rate"] == 0.75
    assert (summary["min_duration"], summary["max_duration"], summary["avg_duration"]) == (0.5, 3.0, 1.5)
    assert [(alert["type"], alert["resolved"]) for alert in summary["recent_alerts"]] == [
        ("response_time", True),
        ("memory_usage", False),
    ]
    assert monitor.get_agent_performance_summary("Nobody") == {"agent": "Nobody", "no_data": True}
    # what a program says is no measured task of its agent
    assert bmad_telemetry.tasks() == []
    assert "gen_ai.invoke_agent.duration" not in bmad_telemetry.metrics


def test_the_second_monitor_never_raises_and_is_bounded(bmad_clock: ManualClock) -> None:
    monitor = PerformanceMonitor()
    monitor.record_agent_performance("A", "op", "long")  # type: ignore[arg-type]
    assert monitor.dropped == 1
    for number in range(300):
        monitor.record_agent_performance("A", f"op{number % 3}", 6.0 if number % 2 else 1.0)
    assert len(monitor.performance_alerts) == 100
    system = monitor.get_system_performance_summary()
    assert system["agents"]["A"]["total_operations"] == 300
    assert system["total_alerts"] == 100
    assert 0 < system["system"]["memory_usage"] < 100
    assert system["system"]["cpu_usage"] is None or 0 <= system["system"]["cpu_usage"] <= 100


def test_many_threads_lose_nothing(bmad_telemetry: Telemetry) -> None:
    collector, tracer = MetricsCollector(), BMADTracer("threads")

    def work() -> None:
        for number in range(500):
            collector.increment_counter("runs", {"part": number % 3})
            with tracer.start_span("step"):
                pass

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(work)
    assert bmad_telemetry.value("bmad_runs") == 2000
    assert tracer.get_tracing_summary()["spans_started"] == 2000


def test_a_forked_child_begins_anew(run_python: Callable[..., CompletedProcess[str]]) -> None:
    done = run_python(
        """
        import os
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from bmad_otel.compat.metrics_collector import MetricsCollector
        from bmad_otel.compat.tracing import BMADTracer

        trace.set_tracer_provider(TracerProvider())
        collector, tracer = MetricsCollector(), BMADTracer("forks")
        left_open = tracer.start_span("the parent's")
        with collector._lock, tracer._spans._lock:  # as other threads may hold them
            child = os.fork()
            if child == 0:
                collector.increment_counter("runs")
                is_new = tracer.get_tracing_summary()["spans_open"] == 0
                os._exit(0 if is_new and not tracer.end_span(left_open.id) else 1)
        print(os.waitpid(child, 0)[1], tracer.end_span(left_open.id))
        """
    )
    assert done.stdout == "0 True\n", done.stderr
