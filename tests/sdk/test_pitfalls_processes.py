"""Pitfalls in the life of a process: before and after the SDK's own, other processes, exporters, clocks, builds."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .receivers import HttpReceiver, Received

RunPython = Callable[..., subprocess.CompletedProcess[str]]

ALL_SHAPES = """
import asyncio
from bmad_otel import current_task, instrument_agent, track_task, track_tool, track_workflow

@instrument_agent
class Agent:
    '''Documented.'''
    def plain(self): return current_task().name
    async def later(self): return 2
    def items(self): yield 3
    async def items_later(self): yield 4

@track_tool(capture=True)
def search(query): return query

@track_workflow
def nightly():
    agent = Agent()
    async def all_of_them():
        return [await agent.later()] + [n async for n in agent.items_later()]
    with track_task(name="block", agent="Agent") as task:
        task.record_usage(input_tokens=1, model="m", provider="p")
        task.set_attribute("team.name", "blue")
        return list(agent.items()) + asyncio.run(all_of_them()) + [search(5)]

def use_all():
    if nightly() != [3, 2, 4, 5]: raise SystemExit("wrong result")
    Agent().plain()
    try: track_task(lambda: 1 / 0)()
    except ZeroDivisionError: pass
"""
"""A program of every form there is, prints nothing. Without assert: it also runs under -O."""

SPANS_OF_ALL_SHAPES = 8


def with_all_shapes(program: str) -> str:
    return ALL_SHAPES + textwrap.dedent(program)


# Before, without and after -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["-O"], ["-OO"], ["-X", "dev"]])
def test_every_form_before_during_and_after(flags: list[str]) -> None:
    program = with_all_shapes("""
        import sys
        from bmad_otel import configure, force_flush, shutdown
        use_all()
        configure(endpoint=sys.argv[1], protocol="http/protobuf", host_metrics=False)
        use_all()
        if not force_flush(10): sys.exit("not flushed")
        use_all()
        shutdown(10)
        use_all()
        configure(endpoint=sys.argv[1], protocol="http/protobuf", host_metrics=False)
        use_all()
    """)
    with HttpReceiver() as received:
        result = subprocess.run(
            [sys.executable, "-W", "error", *flags, "-c", program, received.endpoint],
            env={"BMAD_OTEL_RAISE_INTERNAL": "1"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    # a second life is not to be had, which is said
    assert result.stderr.count("\n") == 1, result.stderr
    assert "configure() after shutdown()" in result.stderr
    assert len(received.spans()) == 2 * SPANS_OF_ALL_SHAPES


def test_every_form_without_any_provider(run_python: RunPython) -> None:
    result = run_python(with_all_shapes("use_all()"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("value", ["true", "TRUE"])
def test_every_form_with_otel_sdk_disabled(run_python: RunPython, value: str) -> None:
    program = with_all_shapes("""
        from opentelemetry import trace
        from bmad_otel import configure, force_flush, shutdown
        use_all()
        configure(endpoint={endpoint!r}, protocol="http/protobuf")
        use_all()
        with trace.get_tracer("app").start_as_current_span("own"): pass
        force_flush(10)
        shutdown(10)
        use_all()
    """)
    with HttpReceiver() as received:
        result = run_python(program.replace("{endpoint!r}", repr(received.endpoint)), OTEL_SDK_DISABLED=value)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not any(received.requests.values())


def test_sampled_out_everything_works_and_is_counted(run_python: RunPython) -> None:
    program = with_all_shapes("""
        from bmad_otel import configure, shutdown
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False)
        use_all()
        shutdown(10)
    """)
    with HttpReceiver() as received:
        result = run_python(program.replace("{endpoint!r}", repr(received.endpoint)), OTEL_TRACES_SAMPLER="always_off")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert received.spans() == []
    assert _counted(received) == SPANS_OF_ALL_SHAPES


def _counted(received: Received) -> int:
    """Tasks in all duration histograms."""
    return sum(
        point.count
        for name, metric in received.metrics().items()
        if name.endswith(".duration")
        for point in metric.exponential_histogram.data_points
    )


def test_a_build_without_sources(tmp_path: Path) -> None:
    """As frozen programs are: compiled modules in an archive, no source to be found."""
    import py_compile
    import zipfile

    source = tmp_path / "agents.py"
    source.write_text(ALL_SHAPES)
    compiled = py_compile.compile(str(source), cfile=str(tmp_path / "agents.pyc"), dfile="<frozen agents>", optimize=2)
    assert compiled is not None
    source.unlink()
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.write(compiled, "agents.pyc")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path / "program.zip")!r})
from bmad_otel import configure, shutdown
configure(endpoint=sys.argv[1], protocol="http/protobuf", host_metrics=False)
import agents
agents.use_all()
shutdown(10)
"""
    with HttpReceiver() as received:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-OO", "-c", program, received.endpoint],
            env={"BMAD_OTEL_RAISE_INTERNAL": "1"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(received.spans()) == SPANS_OF_ALL_SHAPES


# The end of the program ----------------------------------------------------------------------------------------------


def test_the_keyboard_interrupts_a_task(run_python: RunPython) -> None:
    program = """
        import asyncio, os, signal, sys, time
        from bmad_otel import configure, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False)

        @track_task(agent="Sync")
        def waits():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

        @track_task(agent="Async")
        async def waits_later():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)

        @track_task(agent="Items")
        def items():
            yield 1
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

        for way in (waits, lambda: asyncio.run(waits_later()), lambda: list(items())):
            try: way()
            except KeyboardInterrupt: pass
            else: sys.exit("not interrupted")
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    ends = {span.name: {a.key: a.value.string_value for a in span.attributes} for span in received.spans()}
    assert {name: found["bmad.task.outcome"] for name, found in ends.items()} == {
        "invoke_agent Sync": "cancelled", "invoke_agent Async": "cancelled", "invoke_agent Items": "cancelled",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "outcome"), [("0", "cancelled"), ("3", "error"), ("'reason'", "error")])
def test_a_task_ends_the_program(run_python: RunPython, code: str, outcome: str) -> None:
    program = f"""
        import sys
        from bmad_otel import configure, track_task
        configure(endpoint=ENDPOINT, protocol="http/protobuf", host_metrics=False)

        @track_task(agent="A")
        def ends():
            sys.exit({code})

        ends()
    """
    with HttpReceiver() as received:
        result = run_python(program.replace("ENDPOINT", repr(received.endpoint)))
    assert result.returncode == {"0": 0, "3": 3}.get(code, 1)
    assert result.stderr == ("reason\n" if "reason" in code else "")
    (span,) = received.spans()
    assert {a.key: a.value.string_value for a in span.attributes}["bmad.task.outcome"] == outcome


def test_what_is_suspended_or_running_at_the_end_of_the_program_is_quiet(run_python: RunPython) -> None:
    program = """
        import asyncio, threading
        from bmad_otel import configure, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", metric_export_interval_s=1)

        @track_task(agent="Items")
        def items():
            try: yield 1
            finally: pass

        @track_task(agent="Items")
        async def items_later():
            try: yield 1
            finally: await asyncio.sleep(0)

        @track_task(agent="Daemon")
        def busy(): pass

        @track_task(agent="Waits")
        async def waits():
            await asyncio.Event().wait()

        def works_for_ever():
            while True: busy()

        async def main():
            for _ in range(3):
                source = items_later()
                kept.append(source)
                await anext(source)
            kept.append(asyncio.create_task(waits()))
            await asyncio.sleep(0)

        kept = [items() for _ in range(3)]
        for source in kept: next(source)
        circle = []
        circle.append(items())
        circle[0].gi_frame.f_locals
        next(circle[0])
        asyncio.run(main())
        for _ in range(2): threading.Thread(target=works_for_ever, daemon=True).start()
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), OTEL_BSP_MAX_QUEUE_SIZE="100000")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert [line for line in result.stderr.splitlines() if "not delivered" not in line and "dropped" not in line] == []


# Interrupted anywhere ------------------------------------------------------------------------------------------------


def test_a_signal_handler_that_is_tracked_itself(run_python: RunPython) -> None:
    """It interrupts the SDK at any of its lines; nothing hangs and nothing is lost."""
    program = """
        import signal
        from bmad_otel import configure, shutdown, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=0.05)
        signal.alarm(20)
        handled = 0

        @track_task(agent="A")
        def work(): pass

        def handler(*_):
            global handled
            work()
            handled += 1

        signal.signal(signal.SIGVTALRM, handler)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
        done = 0
        while handled < 150 or done < 4000:
            work()
            done += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        shutdown(10)
        print(handled + done)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), OTEL_TRACES_SAMPLER="always_off")
    assert (result.returncode, result.stderr) == (0, "")
    assert _counted(received) == int(result.stdout)


@pytest.mark.parametrize("dropped", ["generator", "coroutine"])
def test_collected_at_any_moment(run_python: RunPython, dropped: str) -> None:
    """The garbage collector ends what was dropped in the middle of whatever the program or the SDK is doing."""
    program = """
        import contextvars, faulthandler, gc, signal, types
        from bmad_otel import configure, shutdown, track_task
        faulthandler.enable()
        signal.alarm(40)
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=60)

        @types.coroutine
        def pause(): yield

        @track_task(agent="Dropped")
        def generator(kept): yield

        @track_task(agent="Dropped")
        async def coroutine(kept): await pause()

        @track_task(agent="Work")
        def work(): pass

        def drop():
            circle = []
            circle.append({dropped}(circle))
            if {dropped} is coroutine:
                contextvars.Context().run(circle[0].send, None)  # each in its own context, as event loops do
            else:
                circle[0].send(None)

        rounds = 0
        gc.collect(); gc.freeze(); gc.disable()
        for _ in range(4):
            for n in range(1, 250):
                drop()
                gc.enable()
                gc.set_threshold(n)
                for _ in range(6): work()
                gc.disable()
                rounds += 1
        gc.unfreeze(); gc.collect()
        shutdown(20)
        print(rounds)
    """
    with HttpReceiver() as received:
        result = run_python(
            program.format(endpoint=received.endpoint, dropped=dropped), OTEL_TRACES_SAMPLER="always_off"
        )
    assert (result.returncode, result.stderr) == (0, "")
    assert _counted(received) == 7 * int(result.stdout)


@pytest.mark.parametrize("own_provider", [False, True])
def test_collected_while_metrics_are_collected(run_python: RunPython, own_provider: bool) -> None:
    """A thread that exports finds what was dropped, and ends it while it holds the locks of the metrics."""
    program = """
        import faulthandler, gc, threading
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from bmad_otel import configure, shutdown, track_task

        faulthandler.dump_traceback_later(15, exit=True)
        reader = InMemoryMetricReader()
        if {own_provider}:
            metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=600)

        @track_task(agent="Dropped")
        def items(kept): yield 1

        def drop():
            circle = []
            circle.append(items(circle))
            next(circle[0])

        def collect():
            gc.enable()
            metrics.get_meter_provider().force_flush()
            gc.disable()

        gc.collect(); gc.freeze(); gc.disable()
        for n in range(1, 400):
            drop()
            gc.set_threshold(n)
            thread = threading.Thread(target=collect)
            thread.start(); thread.join()
            gc.collect()
        shutdown(20)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint, own_provider=own_provider))
    assert (result.returncode, result.stderr) == (0, "")
    newest = received.metrics()["gen_ai.invoke_agent.duration"]
    assert sum(point.count for point in getattr(newest, newest.WhichOneof("data")).data_points) == 399


# Memory --------------------------------------------------------------------------------------------------------------


def test_memory_is_flat_over_50k_calls(run_python: RunPython) -> None:
    program = """
        import gc, sys
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from bmad_otel import configure, track_task
        trace.set_tracer_provider(TracerProvider())  # spans are recorded, and go nowhere
        configure(protocol="http/protobuf", host_metrics=False, metric_export_interval_s=0.2)

        @track_task(agent="A", task_id=lambda n: str(n))
        def work(n): return n

        for n in range(5_000): work(n)
        gc.collect()
        before = sys.getallocatedblocks()
        for n in range(50_000): work(n)
        gc.collect()
        print(sys.getallocatedblocks() - before)
    """
    with HttpReceiver() as received:
        result = run_python(
            program, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{received.endpoint}/v1/metrics", OTEL_TRACES_EXPORTER="none"
        )
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) < 10_000  # durations wait in bounded lists; one object a call would be 50,000
    assert _counted(received) == 55_000


# Other processes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_tracked_functions_go_to_pools_of_processes(tmp_path: Path, method: str) -> None:
    """Pickled by name, in workers that configure for themselves or, forked, inherit it; parents are kept."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import multiprocessing, os, sys
        from concurrent.futures import ProcessPoolExecutor
        from bmad_otel import configure, track_task

        def set_up(endpoint):
            configure(endpoint=endpoint, protocol="http/protobuf", host_metrics=False)

        class Agent:
            def __init__(self, start): self.start = start

            @track_task
            def work(self, n): return self.start + n

        @track_task(agent="Main")
        def fans_out(pool, agent):
            return [future.result() for future in [pool.submit(agent.work, n) for n in range(4)]]

        if __name__ == "__main__":
            set_up(sys.argv[1])
            context = multiprocessing.get_context(sys.argv[2])
            with ProcessPoolExecutor(2, mp_context=context, initializer=set_up, initargs=(sys.argv[1],)) as pool:
                assert fans_out(pool, Agent(10)) == [10, 11, 12, 13]
        """)
    )
    with HttpReceiver() as received:
        result = subprocess.run(
            [sys.executable, str(program), received.endpoint, method],
            env={**os.environ, "BMAD_OTEL_RAISE_INTERNAL": "1"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    spans = received.spans()
    (parent,) = [span for span in spans if span.name == "invoke_agent Main"]
    children = [span for span in spans if span.name == "invoke_agent Agent"]
    assert len(children) == 4
    assert {(child.trace_id, child.parent_span_id) for child in children} == {(parent.trace_id, parent.span_id)}


# Exporters -----------------------------------------------------------------------------------------------------------


def test_an_exporter_that_raises(run_python: RunPython) -> None:
    program = """
        import logging
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
        from bmad_otel import configure, track_task

        class Broken(SpanExporter):
            def export(self, spans): raise ZeroDivisionError

        class BrokenProcessor(SpanProcessor):
            def on_end(self, span): raise ZeroDivisionError

        logging.disable(logging.CRITICAL)
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(Broken()))
        tracers.add_span_processor(BrokenProcessor())
        trace.set_tracer_provider(tracers)

        @track_task(agent="A")
        def work(n): return n

        @track_task(agent="A")
        def items():
            yield 1

        assert [work(n) for n in range(5)] == list(range(5))
        assert list(items()) == [1]
        next(items())

        class BrokenStart(SpanProcessor):
            def on_start(self, span, parent_context=None): raise ZeroDivisionError

        tracers.add_span_processor(BrokenStart())
        assert [work(n) for n in range(5)] == list(range(5))
        assert list(items()) == [1]
        assert trace.get_current_span() is trace.INVALID_SPAN
    """
    result = run_python(program, BMAD_OTEL_RAISE_INTERNAL="0")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_exporter_that_blocks_delays_no_task(run_python: RunPython) -> None:
    program = """
        import threading, time
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
        from bmad_otel import track_task

        go = threading.Event()

        class Blocks(SpanExporter):
            def export(self, spans):
                go.wait(30)
                return SpanExportResult.SUCCESS

        tracers = TracerProvider()
        tracers.add_span_processor(BatchSpanProcessor(Blocks(), max_queue_size=20, max_export_batch_size=10))
        trace.set_tracer_provider(tracers)

        @track_task(agent="A")
        def work(): pass

        started = time.monotonic()
        for _ in range(500): work()
        took_s = time.monotonic() - started
        go.set()
        print(took_s < 10)
    """
    result = run_python(program)
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


@contextmanager
def refusing(status: int, times: int) -> Iterator[Received]:
    """An HTTP receiver that answers the first ``times`` requests with ``status`` and "Retry-After: 1"."""
    received = HttpReceiver()
    refused: list[str] = []
    with received:
        handler: Any = received._server.RequestHandlerClass
        accept = handler.do_POST

        def refuse_first(self: http.server.BaseHTTPRequestHandler) -> None:
            if len(refused) >= times:
                accept(self)
                return
            refused.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        handler.do_POST = refuse_first
        yield received
    assert len(refused) == times


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_to_come_back_later_gets_everything(run_python: RunPython, status: int) -> None:
    program = """
        from bmad_otel import configure, force_flush, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=60)

        @track_task(agent="A")
        def work(): pass

        for _ in range(10): work()
        assert force_flush(30)
    """
    with refusing(status, times=2) as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert result.returncode == 0, result.stderr
    assert len(received.spans()) == 10
    assert len({span.span_id for span in received.spans()}) == 10
    assert _counted(received) == 10


# Clocks --------------------------------------------------------------------------------------------------------------


def test_a_clock_that_steps_backwards_in_the_middle_of_a_task(run_python: RunPython) -> None:
    program = """
        import time
        true_time_ns, step_ns = time.time_ns, 0
        time.time_ns = lambda: true_time_ns() - step_ns
        time.time = lambda: time.time_ns() / 1e9
        from bmad_otel import configure, shutdown, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False, metric_export_interval_s=60)

        def step_back():
            global step_ns
            step_ns += 3600 * 10**9

        @track_task(agent="A")
        def steps():
            time.sleep(0.02)
            step_back()

        @track_task(agent="A")
        def items():
            yield 1
            step_back()
            time.sleep(0.02)
            yield 2

        steps()
        list(items())
        steps()
        shutdown(10)
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    durations_s = [(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 for span in received.spans()]
    assert len(durations_s) == 3
    assert all(0.019 <= duration_s < 30 for duration_s in durations_s)
    points = received.metrics()["gen_ai.invoke_agent.duration"].exponential_histogram.data_points
    assert sum(point.sum for point in points) == pytest.approx(sum(durations_s))
    assert all(point.min >= 0.019 for point in points)


def test_the_process_dies_of_no_signal_of_ours(run_python: RunPython) -> None:
    """A collector that hangs up in the middle of a request is no SIGPIPE, and a SIGTERM is the program's own."""
    program = """
        import os, signal, sys
        from bmad_otel import configure, track_task
        configure(endpoint={endpoint!r}, protocol="http/protobuf")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))

        @track_task(agent="A")
        def work(): os.kill(os.getpid(), signal.SIGTERM)

        work()
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint))
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "")
    (span,) = received.spans()
    assert {a.key: a.value.string_value for a in span.attributes}["error.type"] == "SystemExit"


def test_a_tracked_signal_handler_and_a_meter_provider_of_the_programs_own(run_python: RunPython) -> None:
    """It interrupts the provider while this thread holds its locks."""
    program = """
        import faulthandler, signal
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from bmad_otel import track_task
        faulthandler.dump_traceback_later(30, exit=True)
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
        handled = 0

        @track_task(agent="A")
        def work(): pass

        def handler(*_):
            global handled
            work()
            handled += 1

        signal.signal(signal.SIGVTALRM, handler)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
        done = 0
        while handled < 150 or done < 4000:
            work()
            done += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        (resource,) = reader.get_metrics_data().resource_metrics
        counts = {
            metric.name: sum(point.count for point in metric.data.data_points)
            for metric in resource.scope_metrics[0].metrics if metric.name == "gen_ai.invoke_agent.duration"
        }
        print(counts["gen_ai.invoke_agent.duration"] - handled - done)
    """
    result = run_python(program)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "0", "")
