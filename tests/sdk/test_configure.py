"""`configure` in processes of their own, against real OTLP receivers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from bmad_otel import configure

from .receivers import GrpcReceiver, HttpReceiver

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ONE_TASK = """
from bmad_otel import configure, track_task

class Research:
    @track_task
    def work(self): pass

{configure}
Research().work()
"""


def succeed(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(("receiver", "protocol"), [(GrpcReceiver, "grpc"), (HttpReceiver, "http/protobuf")])
def test_arguments_reach_the_receiver(run_python: Run, receiver: type[Any], protocol: str) -> None:
    with receiver() as received:
        call = (
            f"configure(service_name='library', endpoint={received.endpoint!r}, protocol={protocol!r},"
            " headers={'X-Key': 'k'}, resource_attributes={'deployment.environment.name': 'test'})"
        )
        variables = {
            "OTEL_SERVICE_NAME": "loses", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=loses",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        }  # fmt: skip
        assert succeed(run_python(ONE_TASK.format(configure=call), **variables)) == ""
    (span,) = received.spans()
    assert span.name == "invoke_agent Research"
    for signal in ("traces", "metrics"):
        for resource in received.resources(signal):
            assert resource["service.name"] == "library"
            assert resource["deployment.environment.name"] == "test"
            assert resource["telemetry.sdk.language"] == "python"
            assert {"service.instance.id", "host.name", "process.pid"} <= set(resource)
    assert {headers["x-key"] for headers in received.headers} == {"k"}
    metrics = received.metrics()
    (point,) = metrics["gen_ai.invoke_agent.duration"].exponential_histogram.data_points
    assert point.count == 1
    assert point.sum == (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert {"bmad.agent.task.active", "bmad.agent.cpu.time", "process.cpu.time", "system.memory.usage"} <= set(metrics)


@pytest.mark.parametrize(("receiver", "protocol"), [(GrpcReceiver, "grpc"), (HttpReceiver, "http/protobuf")])
def test_the_standard_variables_are_honoured(run_python: Run, receiver: type[Any], protocol: str) -> None:
    with receiver() as received:
        variables = {
            "OTEL_SERVICE_NAME": "from-variables",
            "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=given,team.name=blue",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=v",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip" if protocol == "grpc" else "none",
            "OTEL_TRACES_SAMPLER": "always_off",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "explicit_bucket_histogram",
        }
        succeed(run_python(ONE_TASK.format(configure="configure(host_metrics=False)"), **variables))
    assert received.spans() == []
    assert {r["service.name"] for r in received.resources("metrics")} == {"from-variables"}
    assert {r["service.instance.id"] for r in received.resources("metrics")} == {"given"}
    assert {headers["x-key"] for headers in received.headers} == {"v"}
    (point,) = received.metrics()["gen_ai.invoke_agent.duration"].histogram.data_points
    assert list(point.explicit_bounds) == [pytest.approx(0.1 * 2**i) for i in range(13)]
    assert not [name for name in received.metrics() if name.startswith(("process.", "system."))]


def test_each_signal_goes_its_own_way(run_python: Run) -> None:
    with GrpcReceiver() as grpc, HttpReceiver() as http:
        variables = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": grpc.endpoint,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{http.endpoint}/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
        }
        succeed(run_python(ONE_TASK.format(configure="configure()"), **variables))
    assert (len(grpc.spans()), len(grpc.metrics())) == (1, 0)
    assert (len(http.spans()), len(http.metrics()) > 0) == (0, True)


def test_exporters_can_be_chosen_by_variable(run_python: Run) -> None:
    program = ONE_TASK.format(configure="configure(host_metrics=False)")
    printed = succeed(run_python(program, OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none"))
    assert '"name": "invoke_agent Research"' in printed
    assert "gen_ai.invoke_agent.duration" not in printed
    printed = succeed(run_python(program, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="console"))
    assert "gen_ai.invoke_agent.duration" in printed


def test_an_unknown_exporter_is_ignored_with_a_warning(run_python: Run) -> None:
    program = ONE_TASK.format(configure="configure()")
    result = run_python(program, OTEL_TRACES_EXPORTER="zipkin", OTEL_METRICS_EXPORTER="none")
    assert (result.returncode, result.stdout) == (0, "")
    assert "OTEL_TRACES_EXPORTER: 'zipkin' is ignored" in result.stderr


def test_a_bad_variable_changes_nothing(run_python: Run) -> None:
    program = """
        import os
        from opentelemetry import metrics, trace
        from bmad_otel import configure
        placeholders = trace.get_tracer_provider(), metrics.get_meter_provider()
        try:
            configure()
        except ValueError as error:
            print(error, flush=True)  # os._exit does not
        assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == placeholders
        os.environ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"] = "1"
        configure()
        assert trace.get_tracer_provider() is not placeholders[0]
        os._exit(0)
    """
    assert "soon" in run_python(program, OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="soon").stdout


def test_disabled_means_nothing_is_set_up(run_python: Run) -> None:
    program = ONE_TASK.format(configure="configure(endpoint='http://127.0.0.1:9')") + (
        "import threading; assert threading.active_count() == 1"
    )
    assert succeed(run_python(program, OTEL_SDK_DISABLED="true")) == ""


def test_data_arrives_while_the_program_runs(run_python: Run) -> None:
    with HttpReceiver() as received:
        program = ONE_TASK.format(configure=f"configure(endpoint={received.endpoint!r}, protocol='http/protobuf')") + (
            "from bmad_otel import force_flush, shutdown\n"
            "assert force_flush(10)\nprint('flushed', flush=True)\n"
            "Research().work()\nshutdown()\nshutdown()\nResearch().work()\nprint(force_flush(10))\n"
        )
        assert succeed(run_python(program)).split() == ["flushed", "False"]
    assert len(received.spans()) == 2
    assert received.metrics()["gen_ai.invoke_agent.duration"].exponential_histogram.data_points[0].count == 2


def test_a_second_call_is_silent_or_warns_once(run_python: Run) -> None:
    result = run_python(
        """
        from opentelemetry import trace
        from bmad_otel import configure, shutdown
        configure(service_name="a", headers={"k": "v"})
        provider = trace.get_tracer_provider()
        configure(service_name="a", headers={"k": "v"})
        print("same")
        configure(service_name="b")
        configure(service_name="c")
        assert trace.get_tracer_provider() is provider
        shutdown()
        configure(service_name="a")
        """,
        OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none",
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "same\n")
    other, after = result.stderr.strip().splitlines()
    assert "already called with other arguments" in other
    assert "after shutdown() has no effect" in after


def test_many_threads_configure_once(run_python: Run) -> None:
    with GrpcReceiver() as received:
        succeed(
            run_python(f"""
                import threading
                from bmad_otel import configure, track_task
                @track_task(agent="A")
                def work(): pass
                def start():
                    configure(endpoint={received.endpoint!r}); work()
                threads = [threading.Thread(target=start) for _ in range(8)]
                [t.start() for t in threads]; [t.join() for t in threads]
            """)
        )
    assert len(received.spans()) == 8
    assert received.metrics()["gen_ai.invoke_agent.duration"].exponential_histogram.data_points[0].count == 8


APPLICATION = """
import json
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from bmad_otel import configure, shutdown, track_task

@track_task(agent="A")
def work(): pass

{before}
spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
traces = TracerProvider(resource=Resource({{"service.name": "app"}}))
traces.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(traces)
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
{after}
work()
assert trace.get_tracer_provider() is traces
data = reader.get_metrics_data()
names = sorted(m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics)
counts = [p.count for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
          if m.name == "gen_ai.invoke_agent.duration" for p in m.data.data_points]
shutdown()
print(json.dumps([len(spans.get_finished_spans()), counts, names]))
with trace.get_tracer("app").start_as_current_span("the app's own provider still works"): pass
assert len(spans.get_finished_spans()) == 2
"""


def test_the_programs_own_providers_are_used_as_they_are(run_python: Run) -> None:
    without = succeed(run_python(APPLICATION.format(before="", after="")))
    assert without.startswith('[1, [1], ["bmad.agent.cpu.time", "bmad.agent.task.active"')
    assert "process." not in without
    attached = succeed(run_python(APPLICATION.format(before="", after="configure()")))
    assert attached.startswith("[1, [1], ")
    assert "process.cpu.time" in attached


def test_tracking_before_the_program_sets_its_providers(run_python: Run) -> None:
    for after in ("", "configure()"):
        seen = succeed(run_python(APPLICATION.format(before="work(); work()", after=after)))
        assert seen.startswith("[1, [1], ")
        assert seen.count("bmad.agent.task.active") == 1


@pytest.mark.skipif(not hasattr(MeterProvider, "add_metric_reader"), reason="OpenTelemetry without add_metric_reader")
def test_an_explicit_endpoint_is_added_to_the_programs_providers(run_python: Run) -> None:
    with HttpReceiver() as received:
        after = f"configure(endpoint={received.endpoint!r}, protocol='http/protobuf', host_metrics=False)"
        succeed(run_python(APPLICATION.format(before="", after=after)))
    assert [span.name for span in received.spans()] == ["invoke_agent A"]
    assert received.resources("traces")[0]["service.name"] == "app"
    assert "gen_ai.invoke_agent.duration" in received.metrics()


def test_untracked_programs_are_left_alone(run_python: Run) -> None:
    program = """
        import sys, threading
        import bmad_otel
        assert not {"opentelemetry.sdk.trace", "grpc", "psutil", "requests"} & set(sys.modules), "import is light"
        assert threading.active_count() == 1

        @bmad_otel.track_task(agent="A")
        def work(): return 1

        assert [work() for _ in range(3)] == [1, 1, 1]
        bmad_otel.shutdown()
        assert bmad_otel.force_flush() is True  # there is nothing to deliver
        assert threading.active_count() == 1
    """
    assert succeed(run_python(program)) == ""


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"service_name": ""}, ValueError, "service_name"),
        ({"service_name": 7}, TypeError, "service_name"),
        ({"endpoint": "localhost:4317"}, ValueError, "endpoint"),
        ({"endpoint": "http://localhost:x"}, ValueError, "endpoint"),
        ({"endpoint": 4317}, TypeError, "endpoint"),
        ({"protocol": "http"}, ValueError, "protocol"),
        ({"headers": "a=b"}, TypeError, "headers"),
        ({"headers": {"a": 1}}, TypeError, "headers: the value of 'a'"),
        ({"resource_attributes": ["a"]}, TypeError, "resource_attributes"),
        ({"resource_attributes": {"": 1}}, TypeError, "resource_attributes"),
        ({"host_metrics": "yes"}, TypeError, "host_metrics"),
        ({"metric_export_interval_s": 0}, ValueError, "metric_export_interval_s"),
        ({"metric_export_interval_s": float("nan")}, ValueError, "metric_export_interval_s"),
        ({"metric_export_interval_s": True}, TypeError, "metric_export_interval_s"),
        ({"shutdown_timeout_s": None}, TypeError, "shutdown_timeout_s"),
        ({"shutdown_timeout_s": -1}, ValueError, "shutdown_timeout_s"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        configure(**arguments)


def test_port_4318_means_http(run_python: Run) -> None:
    program = """
        from bmad_otel import _settings
        given = dict.fromkeys(("service_name", "endpoint", "protocol", "headers", "resource_attributes",
                               "metric_export_interval_s"))
        def protocol(**changed):
            settings = _settings.checked(**{**given, "host_metrics": True, "shutdown_timeout_s": 2.0, **changed})
            return _settings.protocol_of("traces", settings)
        print(protocol(), protocol(endpoint="http://h:4318"), protocol(endpoint="http://h:4318", protocol="grpc"))
    """
    assert succeed(run_python(program)).split() == ["grpc", "http/protobuf", "grpc"]
    assert succeed(run_python(program, OTEL_EXPORTER_OTLP_ENDPOINT="http://h:4318")).startswith("http/protobuf")
