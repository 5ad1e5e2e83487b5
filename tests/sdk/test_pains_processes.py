"""What users of other SDKs complain of most, each as a test: the pains in the life of a process.

Numbered as in the comparison of SDKs; those that show inside one process are in test_pains.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from .receivers import GrpcReceiver, HttpReceiver, Received

RunPython = Callable[..., subprocess.CompletedProcess[str]]

# A busy machine gets more than twice the promised 2 s; the plain SDK was measured at 11 to 15 s here.
EXIT_BOUND_S = 5.0


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


@pytest.fixture
def dead_port() -> int:
    """Refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def total(received: Received, metric: str, **wanted: str) -> int:
    """Sum over all processes of the newest count each has sent of a histogram."""
    newest: dict[tuple[Any, ...], int] = {}
    for request in received.requests["metrics"]:
        for resource in request.resource_metrics:
            instance = resource.resource.SerializeToString(deterministic=True)
            for scope in resource.scope_metrics:
                for found in scope.metrics:
                    if found.name != metric:
                        continue
                    for point in found.exponential_histogram.data_points or found.histogram.data_points:
                        labels = {pair.key: pair.value.string_value for pair in point.attributes}
                        if wanted.items() <= labels.items():
                            key = (instance, point.start_time_unix_nano, *sorted(labels.items()))
                            newest[key] = max(point.count, newest.get(key, 0))
    return sum(newest.values())


# 4: a process that hangs when the collector is down ------------------------------------------------------------------

WORK_AND_END = """
    import time
    from bmad_otel import configure, force_flush, track_task

    configure(endpoint="http://127.0.0.1:{port}", protocol="{protocol}")

    @track_task(agent="A")
    def work(): pass

    slowest = 0
    for _ in range(3000):
        started = time.perf_counter()
        work()
        slowest = max(slowest, time.perf_counter() - started)
    started = time.perf_counter()
    delivered = force_flush(0.2)
    print(slowest, time.perf_counter() - started, delivered, time.time())
"""


@pytest.mark.parametrize(("backend", "protocol"), [("dead_port", "http/protobuf"), ("silent_port", "grpc")])
def test_pain_4_a_collector_that_is_down_delays_neither_tasks_nor_flush_nor_exit(
    request: pytest.FixtureRequest, run_python: RunPython, backend: str, protocol: str
) -> None:
    port = request.getfixturevalue(backend)
    result = run_python(WORK_AND_END.format(port=port, protocol=protocol), OTEL_BSP_MAX_QUEUE_SIZE="600")
    ended = time.time()
    assert result.returncode == 0, result.stderr
    slowest_s, flush_s, delivered, worked_until = result.stdout.split()
    assert float(slowest_s) < 1
    assert float(flush_s) < 1.5
    assert delivered == "False"
    assert ended - float(worked_until) < EXIT_BOUND_S
    ours = [line for line in result.stderr.splitlines() if "bmad_otel" in line]
    assert 1 <= len(ours) == len(set(ours))  # the loss is said, and each thing once
    assert "Traceback" not in result.stderr


# 5: forks, pre-fork servers, recycled workers ------------------------------------------------------------------------


def test_pain_5_recycled_pool_workers_lose_nothing(run_python: RunPython) -> None:
    """A pool that replaces its process after every job, as task queues do: 20 jobs, 20 spans."""
    program = """
        import multiprocessing, os
        from bmad_otel import configure, track_task

        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False)

        @track_task(agent="Worker")
        def work(n):
            return os.getpid()

        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
            pids = pool.map(work, range(20), chunksize=1)
            pool.close()
            pool.join()
        print(*pids)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), PYTHONWARNINGS="ignore")
    assert (result.returncode, result.stderr) == (0, "")
    pids = set(result.stdout.split())
    assert len(pids) == 20
    assert len(received.spans()) == 20
    assert len({span.span_id for span in received.spans()}) == 20
    assert {str(resource["process.pid"]) for resource in received.resources("traces")} == pids
    assert total(received, "gen_ai.invoke_agent.duration") == 20


def test_pain_5_pre_fork_workers_count_what_they_did_and_nothing_else(run_python: RunPython) -> None:
    program = """
        import os, sys
        from bmad_otel import configure, current_task, shutdown, track_task, track_tool

        configure(endpoint={endpoint!r}, protocol="http/protobuf", metric_export_interval_s=0.2)

        @track_tool
        def search(): pass

        @track_task(agent="Worker")
        def work():
            search()
            current_task().record_usage(input_tokens=1, output_tokens=1, model="m", provider="p")

        for _ in range(7):
            work()
        children = []
        for worker in range(3):
            child = os.fork()
            if child == 0:
                for _ in range(5):
                    work()
                shutdown(10)
                os._exit(0)
            children.append(child)
        status = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        work()
        shutdown(10)
        print(os.getpid(), *children)
        sys.exit(any(status))
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), PYTHONWARNINGS="ignore")
    assert (result.returncode, result.stderr) == (0, "")
    calls = 7 + 3 * 5 + 1
    assert len(received.spans()) == 2 * calls
    assert len({span.span_id for span in received.spans()}) == 2 * calls
    assert len({span.trace_id for span in received.spans()}) == calls  # ids differ between workers
    counts = {
        name: total(received, name, **{"gen_ai.agent.name": "Worker"})
        for name in ("gen_ai.invoke_agent.duration", "gen_ai.invoke_agent.tool_calls",
                     "gen_ai.invoke_agent.inference_calls", "gen_ai.client.token.usage")
    }  # fmt: skip
    assert counts == dict.fromkeys(counts, calls) | {"gen_ai.client.token.usage": 2 * calls}
    assert total(received, "gen_ai.execute_tool.duration") == calls
    pids = [str(resource["process.pid"]) for resource in received.resources("metrics")]
    assert set(pids) == set(result.stdout.split())


def test_pain_5_forks_while_threads_work_do_not_hang(run_python: RunPython) -> None:
    """Locks are held at the moment of a fork, by threads the child does not have."""
    program = """
        import os, signal, sys, threading
        from bmad_otel import configure, track_task

        configure(endpoint={endpoint!r}, protocol="http/protobuf", metric_export_interval_s=0.02)
        stop = threading.Event()

        @track_task(agent="Worker")
        def work(): pass

        def worker():
            while not stop.is_set():
                work()

        threads = [threading.Thread(target=worker) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                signal.alarm(10)  # ends the child if it hangs
                work()
                os._exit(0)
            failed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if failed:
                break
        stop.set()
        for thread in threads: thread.join()
        sys.exit(failed != 0)
    """
    with HttpReceiver() as received:
        result = run_python(
            program.format(endpoint=received.endpoint), PYTHONWARNINGS="ignore",
            OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.01",
        )  # fmt: skip
    assert result.returncode == 0
    # the threads make more spans than the end of the program has time to send
    assert [line for line in result.stderr.splitlines() if "dropped" not in line] == []


# 6: fights about providers -------------------------------------------------------------------------------------------


def test_pain_6_the_programs_own_providers_stay(run_python: RunPython) -> None:
    program = """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from bmad_otel import configure, force_flush, shutdown, track_task

        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(resource=Resource.create({{"service.name": "mine"}}))
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        meters = MeterProvider(metric_readers=[reader])
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(meters)

        configure(service_name="other", endpoint={endpoint!r}, protocol="http/protobuf")
        assert trace.get_tracer_provider() is tracers
        assert metrics.get_meter_provider() is meters

        @track_task(agent="A")
        def work():
            with trace.get_tracer("app").start_as_current_span("own"): pass

        work()
        names = [span.name for span in exporter.get_finished_spans()]
        assert names == ["own", "invoke_agent A"], names
        shutdown()
        with trace.get_tracer("app").start_as_current_span("after"): pass  # the provider lives on
        assert exporter.get_finished_spans()[-1].name == "after"
        data = reader.get_metrics_data()
        found = {{m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}}
        assert "gen_ai.invoke_agent.duration" in found, found
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")
    assert {span.name for span in received.spans()} >= {"own", "invoke_agent A"}
    assert received.resources("traces")[0]["service.name"] == "mine"


def test_pain_6_without_configure_the_program_may_set_its_providers_later(run_python: RunPython) -> None:
    program = """
        from bmad_otel import track_task

        @track_task(agent="A")
        def work(): pass

        work()

        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(tracers)
        work()
        metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
        work()
        work()
        assert len(exporter.get_finished_spans()) == 3
        data = reader.get_metrics_data()
        (duration,) = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
                       if m.name == "gen_ai.invoke_agent.duration"]
        print(sum(point.count for point in duration.data.data_points))
    """
    result = run_python(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "2\n"  # from the moment there is somebody to count for


# 7: host metrics, their volume and their truth -----------------------------------------------------------------------

A_SHORT_LIFE = """
    import sys
    from bmad_otel import configure, force_flush

    configure(endpoint={endpoint!r}, protocol="http/protobuf", metric_export_interval_s=0.2)
    assert force_flush(10)
    print("ready", flush=True)
    sys.stdin.read()
    assert force_flush(10)
"""


def test_pain_7_host_metrics_are_few_and_named_by_the_conventions(run_python: RunPython) -> None:
    program = """
        import time
        from bmad_otel import configure, force_flush

        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=True)
        for _ in range(3):  # rates need a reading before the first
            assert force_flush(10)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert (result.returncode, result.stderr) == (0, "")
    series = 0
    of_parts = {"cpu.logical_number", "system.device", "network.interface.name"}
    for name, metric in received.metrics().items():
        points = getattr(metric, metric.WhichOneof("data")).data_points
        if not name.startswith(("process.", "system.", "container.")):
            continue
        series += len(points)
        assert {pair.key for point in points for pair in point.attributes}.isdisjoint(of_parts), name
        assert re.fullmatch(r"s|1|By|\{[a-z_]+\}", metric.unit), name
        if metric.unit == "1":
            assert all(0 <= (point.as_double or point.as_int) <= 1 for point in points), name
    assert 30 <= series <= 71  # as the page promises, however many CPUs, disks and interfaces there are


def test_pain_7_two_processes_are_one_host(tmp_path: Path) -> None:
    with HttpReceiver() as received:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment["TMPDIR"] = str(tmp_path)  # where processes agree: not with those of other tests
        program = A_SHORT_LIFE.format(endpoint=received.endpoint)
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(program)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and min(_exports_by_pid(received).values(), default=0) < 3:
            threading.Event().wait(0.02)
        of_process, of_host = _exports_by_pid(received), _exports_by_pid(received, "system.")
        for process in processes:  # the first to end hands the host over, which is not counted any more
            process.communicate("")
            assert process.returncode == 0
    assert set(of_process) == {process.pid for process in processes}
    assert len(of_host) == 1


def _exports_by_pid(received: Received, prefix: str = "process.") -> Counter[int]:
    """How often each process has sent metrics with this prefix; a reporter sends some at each export."""
    found: Counter[int] = Counter()
    for request in list(received.requests["metrics"]):
        for resource in request.resource_metrics:
            (pid,) = [pair.value.int_value for pair in resource.resource.attributes if pair.key == "process.pid"]
            if any(metric.name.startswith(prefix) for scope in resource.scope_metrics for metric in scope.metrics):
                found[pid] += 1
    return found


# 9: long tasks that nobody sees until they end, or never -------------------------------------------------------------


def test_pain_9_a_task_that_is_killed_was_seen_running(run_python: RunPython) -> None:
    program = """
import threading
from bmad_otel import configure, track_task
configure(endpoint=ENDPOINT, protocol="http/protobuf", metric_export_interval_s=0.05, host_metrics=False)

@track_task(agent="Stuck")
def stuck():
    print("running", flush=True)
    threading.Event().wait()

stuck()
"""
    with HttpReceiver() as received:
        process = subprocess.Popen(
            [sys.executable, "-c", f"ENDPOINT = {received.endpoint!r}\n{program}"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not _is_seen(received):
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert _is_seen(received)
    assert received.spans() == []


def _is_seen(received: Received) -> bool:
    newest = received.metrics()
    if not {"bmad.agent.task.active", "bmad.agent.task.oldest_age"} <= newest.keys():
        return False
    (active,) = newest["bmad.agent.task.active"].sum.data_points
    (age,) = newest["bmad.agent.task.oldest_age"].gauge.data_points
    return active.as_int == 1 and age.as_double > 0


# 11: noise and weight ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receiver", [HttpReceiver, GrpcReceiver])
def test_pain_11_nothing_is_printed(run_python: RunPython, receiver: Any) -> None:
    program = """
        import asyncio
        from bmad_otel import configure, force_flush, shutdown, track_task

        @track_task(agent="A")
        def before(): return 1

        before()
        configure(endpoint={endpoint!r}, protocol={protocol!r})
        configure(endpoint={endpoint!r}, protocol={protocol!r})

        @track_task(agent="A")
        async def fails():
            raise ValueError("no paper")

        @track_task(agent="A")
        def items():
            yield from range(3)

        for _ in items(): break
        try: asyncio.run(fails())
        except ValueError: pass
        before()
        assert force_flush(10)
        shutdown(10)
        shutdown()
        before()
    """
    with receiver() as received:
        protocol = "grpc" if receiver is GrpcReceiver else "http/protobuf"
        result = run_python(program.format(endpoint=received.endpoint, protocol=protocol))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(received.spans()) == 3


def test_pain_11_an_import_does_nothing_and_loads_little(run_python: RunPython) -> None:
    program = """
        import sys, threading
        import bmad_otel
        heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "grpc", "requests", "psutil", "bmad_processor",
                 "multiprocessing", "concurrent.futures.process", "sqlite3")
        print([name for name in heavy if name in sys.modules], threading.active_count())
        from opentelemetry import trace
        assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
    """
    result = run_python(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "[] 1\n"


def test_pain_11_few_dependencies() -> None:
    needed = {line.split(">")[0].strip() for line in requires("bmad-otel") or [] if "extra ==" not in line}
    assert needed == {"opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp", "psutil"}


# 12: cardinality -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_providers", [False, True])
def test_pain_12_10k_agent_names_share_a_visible_overflow(run_python: RunPython, own_providers: bool) -> None:
    program = """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider
        from bmad_otel import configure, shutdown, track_task

        if {own_providers}:
            trace.set_tracer_provider(TracerProvider())
            metrics.set_meter_provider(MeterProvider())
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=60)

        class Agent:
            def __init__(self, name): self.agent_name = name

            @track_task
            def work(self): pass

        for n in range(10_000): Agent(f"agent-{{n}}").work()
        shutdown(20)
    """
    with HttpReceiver() as received:
        result = run_python(
            program.format(endpoint=received.endpoint, own_providers=own_providers), OTEL_BSP_MAX_QUEUE_SIZE="20000"
        )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    (warning,) = result.stderr.splitlines()  # one, and it names the overflow
    assert "bmad.overflow" in warning
    names = {span.name for span in received.spans()}
    assert "invoke_agent agent-9999" in names  # spans tell the truth
    newest = received.metrics()
    for name, data in (
        ("gen_ai.invoke_agent.duration", None), ("bmad.agent.task.active", "sum"),
        ("bmad.agent.task.oldest_age", "gauge"), ("bmad.agent.cpu.time", "sum"),
    ):  # fmt: skip
        points = getattr(newest[name], data or newest[name].WhichOneof("data")).data_points
        labels = [{pair.key: pair.value.string_value for pair in point.attributes} for point in points]
        assert len(points) <= 2_000
        assert [found["gen_ai.agent.name"] for found in labels].count("bmad.overflow") == 1, name
        assert not any("otel.metric.overflow" in found for found in labels)
        if data is None:
            assert sum(point.count for point in points) == 10_000


def test_pain_12_names_that_come_with_the_data_are_bounded(run_python: RunPython) -> None:
    """Classes of errors, models and names of blocks, each with an id in it."""
    program = """
        from bmad_otel import configure, current_task, shutdown, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=60)

        @track_task(agent="A")
        def fails(n): current_task().fail(f"message {{n}}", error_type=f"type-{{n}}")

        @track_task(agent="A")
        def raises(n): raise type(f"Error{{n}}", (Exception,), {{}})

        @track_task(agent="A")
        def asks(n): current_task().record_usage(input_tokens=1, model=f"model-{{n}}")

        for n in range(2_500):
            fails(n)
            asks(n)
            try: raises(n)
            except Exception: pass
            with track_task(name=f"block-{{n}}", agent="A"):
                current_task().set_attribute("team.job", f"job-{{n}}")
        shutdown(20)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), OTEL_TRACES_SAMPLER="always_off")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert len(result.stderr.splitlines()) <= 2
    newest = received.metrics()
    for name, expected in (("gen_ai.invoke_agent.duration", 10_000), ("gen_ai.client.token.usage", 5_000)):
        points = getattr(newest[name], newest[name].WhichOneof("data")).data_points
        assert len(points) <= 2_001  # the limit of the OpenTelemetry SDK, and one for what is beyond
        assert sum(point.count for point in points) == expected
