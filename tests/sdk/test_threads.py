"""Tasks keep their parent in threads, pools and other processes."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wrapt import wrap_function_wrapper

from bmad_otel import _threads, current_task, track_task
from tests.sdk.conftest import Telemetry, attributes
from tests.sdk.receivers import HttpReceiver

tracer = trace.get_tracer("tests")


@pytest.fixture
def propagating(telemetry: Telemetry) -> Iterator[Telemetry]:
    _threads.install()
    yield telemetry
    _threads.uninstall()


@track_task(agent="Child")
def child(result: Any = None) -> Any:
    return result


def current() -> trace.Span:
    return trace.get_current_span()


def parent_of_child(telemetry: Telemetry) -> str | None:
    """The name of the span above the one child."""
    spans = {span.context.span_id: span for span in telemetry.spans() if span.context}
    (found,) = [span for span in spans.values() if span.name == "invoke_agent Child"]
    return spans[found.parent.span_id].name if found.parent else None


# Every way into a thread ---------------------------------------------------------------------------------------------


def test_thread_pool_child_linked(propagating: Telemetry) -> None:
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("parent"):
        assert pool.submit(child, result=5).result() == 5
    assert parent_of_child(propagating) == "parent"


def test_run_in_executor_child_linked(propagating: Telemetry) -> None:
    async def main() -> None:
        with tracer.start_as_current_span("parent"):
            assert await asyncio.get_running_loop().run_in_executor(None, child, 5) == 5

    asyncio.run(main())
    assert parent_of_child(propagating) == "parent"


def test_to_thread_child_linked(propagating: Telemetry) -> None:
    async def main() -> None:
        with tracer.start_as_current_span("parent"):
            assert await asyncio.to_thread(child, 5) == 5

    asyncio.run(main())
    assert parent_of_child(propagating) == "parent"


def test_thread_child_linked(propagating: Telemetry) -> None:
    with tracer.start_as_current_span("parent"):
        thread = threading.Thread(target=child)
        thread.start()
    thread.join()
    assert parent_of_child(propagating) == "parent"


def test_timer_child_linked(propagating: Telemetry) -> None:
    with tracer.start_as_current_span("parent"):
        timer = threading.Timer(0.001, child)
        timer.start()
    timer.join()
    assert parent_of_child(propagating) == "parent"


def test_executor_map_children_linked(propagating: Telemetry) -> None:
    with ThreadPoolExecutor(2) as pool, tracer.start_as_current_span("parent") as span:
        assert list(pool.map(child, range(5))) == list(range(5))
    children = [found for found in propagating.spans() if found.name == "invoke_agent Child"]
    assert len(children) == 5
    assert {found.parent.span_id for found in children if found.parent} == {span.get_span_context().span_id}


def test_a_thread_with_a_run_of_its_own(propagating: Telemetry) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            child()

    with tracer.start_as_current_span("parent"):
        worker = Worker()
        worker.start()
        worker.join()
    assert parent_of_child(propagating) == "parent"
    assert "run" not in vars(worker)


def test_a_thread_given_a_run(propagating: Telemetry) -> None:
    thread = threading.Thread()
    thread.run = child  # type: ignore[method-assign]
    with tracer.start_as_current_span("parent"):
        thread.start()
        thread.join()
    assert parent_of_child(propagating) == "parent"
    assert thread.run is child


def test_the_current_task_goes_along(propagating: Telemetry) -> None:
    seen: dict[str, str | None] = {}

    @track_task(agent="Parent")
    def parent(pool: ThreadPoolExecutor) -> None:
        thread = threading.Thread(target=lambda: seen.update(thread=current_task().agent))
        thread.start()
        thread.join()
        pool.submit(lambda: seen.update(pool=current_task().agent)).result()
        pool.submit(lambda: current_task().set_attribute("team.name", "blue")).result()

    with ThreadPoolExecutor(1) as pool:
        parent(pool)
        pool.submit(lambda: seen.update(after=current_task().agent)).result()
    assert seen == {"thread": "Parent", "pool": "Parent", "after": None}
    assert attributes(propagating.span())["team.name"] == "blue"


def test_baggage_goes_along(propagating: Telemetry) -> None:
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("parent"):
        token = otel_context.attach(baggage.set_baggage("team", "blue"))
        assert pool.submit(baggage.get_baggage, "team").result() == "blue"
        otel_context.detach(token)


# What stays as it was ------------------------------------------------------------------------------------------------


def test_nothing_is_wrapped_where_no_span_is_current(propagating: Telemetry) -> None:
    thread = threading.Thread(target=child)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() is trace.INVALID_SPAN
    assert parent_of_child(propagating) is None


def test_a_pool_does_not_keep_the_task_that_started_it(propagating: Telemetry) -> None:
    at_start = []
    with ThreadPoolExecutor(1, initializer=lambda: at_start.append(current())) as pool:
        with tracer.start_as_current_span("first"):
            first = pool.submit(current).result()
        assert first.get_span_context().is_valid
        assert pool.submit(current).result() is trace.INVALID_SPAN
    assert at_start == [trace.INVALID_SPAN]


def test_other_context_variables_are_not_carried(propagating: Telemetry) -> None:
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="default")
    mine.set("set")

    async def copied() -> str:
        return await asyncio.to_thread(mine.get)

    seen = []
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("parent"):
        assert pool.submit(mine.get).result() == "default"
        thread = threading.Thread(target=lambda: seen.append(mine.get()))
        thread.start()
        thread.join()
        assert asyncio.run(copied()) == "set"
    assert seen == ["default"]


def test_an_exception_comes_through_the_future(propagating: Telemetry) -> None:
    error = LookupError("mine")

    def fail() -> None:
        raise error

    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("parent"):
        future = pool.submit(fail)
        assert future.exception() is error
        with pytest.raises(LookupError, match="mine") as caught:
            future.result()
    assert caught.traceback[-1].name == "fail"


def test_an_exception_in_a_thread_reaches_its_hook(propagating: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    with tracer.start_as_current_span("parent"):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    (args,) = told
    assert args.exc_type is ZeroDivisionError
    assert args.thread is thread


def test_a_cancelled_future_never_runs(propagating: Telemetry) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("parent"):
        busy = pool.submit(gate.wait)
        waiting = pool.submit(child)
        assert waiting.cancel()
        gate.set()
        assert busy.result() is True
        with pytest.raises(CancelledError):
            waiting.result()
    assert [span.name for span in propagating.spans()] == ["parent"]


def test_wrong_calls_fail_as_before(propagating: Telemetry) -> None:
    class Hollow(threading.Thread):
        def __init__(self) -> None:
            pass

    with tracer.start_as_current_span("parent"):
        thread = threading.Thread(target=child)
        thread.start()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        with pytest.raises(RuntimeError, match=r"thread.__init__\(\) not called"):
            Hollow().start()
        pool = ThreadPoolExecutor(1)
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
            pool.submit()  # type: ignore[call-arg]
        pool.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            pool.submit(child)


def test_a_thread_that_does_not_start_is_left_as_it_was(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    _threads.install()
    try:
        thread = threading.Thread(target=child)
        with tracer.start_as_current_span("parent"), pytest.raises(RuntimeError, match="can't start new thread"):
            thread.start()
        assert "run" not in vars(thread)
    finally:
        _threads.uninstall()
    assert threading.Thread.start is no_more


@pytest.mark.parametrize("work", [lambda: 1, lambda: 1 / 0], ids=["result", "exception"])
def test_a_future_that_is_done_keeps_no_span(propagating: Telemetry, work: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:

        def submit() -> tuple[Future[Any], weakref.ref[trace.Span]]:
            with tracer.start_as_current_span("parent") as span:
                return pool.submit(work), weakref.ref(span)

        future, span = submit()
        future.exception()
        pool.submit(int).result()  # the worker has let go of the first
        gc.collect()
        assert span() is None


def test_a_thread_that_has_ended_keeps_no_span(propagating: Telemetry) -> None:
    def start() -> tuple[threading.Thread, weakref.ref[trace.Span]]:
        with tracer.start_as_current_span("parent") as span:
            thread = threading.Thread(target=child)
            thread.start()
            return thread, weakref.ref(span)

    thread, span = start()
    thread.join()
    gc.collect()
    assert span() is None


def test_a_thread_that_exports_keeps_no_span(propagating: Telemetry) -> None:
    def start() -> tuple[BatchSpanProcessor, weakref.ref[trace.Span]]:
        with tracer.start_as_current_span("parent") as span:
            return BatchSpanProcessor(InMemorySpanExporter()), weakref.ref(span)

    processor, span = start()
    gc.collect()
    assert span() is None
    processor.shutdown()


# Beside other packages that replace the same methods -----------------------------------------------------------------

METHODS = [(threading.Thread, "start"), (ThreadPoolExecutor, "submit"), (ProcessPoolExecutor, "submit")]


def test_install_and_uninstall_are_exact() -> None:
    before = [vars(owner)[name] for owner, name in METHODS]
    _threads.uninstall()
    _threads.install()
    ours = [vars(owner)[name] for owner, name in METHODS]
    assert not set(before) & set(ours)
    _threads.install()
    assert [vars(owner)[name] for owner, name in METHODS] == ours
    _threads.uninstall()
    assert [vars(owner)[name] for owner, name in METHODS] == before


class Other:
    """A package that carries OpenTelemetry's context too; ``kind`` is the way it replaces a method."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def install(self) -> None:
        self._before = vars(ThreadPoolExecutor)["submit"], vars(threading.Thread)["start"]
        if self._kind == "wrapt":
            wrap_function_wrapper(ThreadPoolExecutor, "submit", self._submit_wrapt)
            wrap_function_wrapper(threading.Thread, "start", self._start_wrapt)
            return
        submit, start = self._before
        wraps: Callable[[Any], Any] = (
            functools.wraps if self._kind == "functools" else lambda _: lambda function: function
        )

        @wraps(submit)
        def new_submit(pool: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return submit(pool, self._linked(fn), *args, **kwargs)

        @wraps(start)
        def new_start(thread: Any) -> Any:
            thread.run = self._linked(thread.run)
            return start(thread)

        ThreadPoolExecutor.submit = new_submit  # type: ignore[method-assign]
        threading.Thread.start = new_start  # type: ignore[method-assign]

    def uninstall(self) -> None:
        ThreadPoolExecutor.submit, threading.Thread.start = self._before  # type: ignore[method-assign]

    def _linked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        context = otel_context.get_current()

        def linked(*args: Any, **kwargs: Any) -> Any:
            token = otel_context.attach(context)
            try:
                return function(*args, **kwargs)
            finally:
                otel_context.detach(token)

        return linked

    def _submit_wrapt(self, wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
        assert isinstance(pool, ThreadPoolExecutor)
        return wrapped(self._linked(args[0]), *args[1:], **kwargs)

    def _start_wrapt(self, wrapped: Any, thread: Any, args: Any, kwargs: Any) -> Any:
        thread.run = self._linked(thread.run)
        return wrapped(*args, **kwargs)


def links(telemetry: Telemetry) -> dict[str, list[str | None]]:
    """The parents of what runs in a pool and in a thread, each with and without a current span."""
    parents: dict[str, list[str | None]] = {}
    with ThreadPoolExecutor(1) as pool:
        for name in ("inside", "outside"):
            telemetry.exporter.clear()
            span = tracer.start_span("parent")
            token = otel_context.attach(trace.set_span_in_context(span) if name == "inside" else otel_context.Context())
            pool.submit(child).result()
            thread = threading.Thread(target=child)
            thread.start()
            thread.join()
            otel_context.detach(token)
            span.end()
            spans = {found.context.span_id: found for found in telemetry.spans() if found.context}
            parents[name] = [
                spans[found.parent.span_id].name if found.parent else None
                for found in spans.values()
                if found.name == "invoke_agent Child"
            ]
    return parents


LINKED = {"inside": ["parent", "parent"], "outside": [None, None]}
UNLINKED = {"inside": [None, None], "outside": [None, None]}


@pytest.mark.parametrize("kind", ["functools", "wrapt", "plain"])
def test_ours_below_anothers(telemetry: Telemetry, kind: str) -> None:
    plain = [vars(owner)[name] for owner, name in METHODS]
    other = Other(kind)
    _threads.install()
    other.install()
    assert links(telemetry) == LINKED
    _threads.install()
    _threads.uninstall()
    assert links(telemetry) == LINKED, "the other one carries"
    _threads.install()
    assert links(telemetry) == LINKED
    other.uninstall()
    assert links(telemetry) == LINKED, "ours carries"
    _threads.uninstall()
    assert links(telemetry) == UNLINKED
    assert [vars(owner)[name] for owner, name in METHODS] == plain


@pytest.mark.parametrize("kind", ["functools", "wrapt", "plain"])
def test_ours_above_anothers(telemetry: Telemetry, kind: str) -> None:
    plain = [vars(owner)[name] for owner, name in METHODS]
    other = Other(kind)
    other.install()
    with_other = [vars(owner)[name] for owner, name in METHODS]
    _threads.install()
    assert links(telemetry) == LINKED
    _threads.uninstall()
    assert [vars(owner)[name] for owner, name in METHODS] == with_other
    assert links(telemetry) == LINKED, "the other one carries"
    other.uninstall()
    assert [vars(owner)[name] for owner, name in METHODS] == plain


def test_a_timer_with_a_start_of_its_own(telemetry: Telemetry) -> None:
    """As OpenTelemetry's instrumentation of threads leaves it, whose wrapper knows nothing of `Thread.start`."""

    def start(wrapped: Any, timer: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    wrap_function_wrapper(threading.Timer, "start", start)
    others = vars(threading.Timer)["start"]
    _threads.install()
    try:
        with tracer.start_as_current_span("parent"):
            timer = threading.Timer(0.001, child)
            timer.start()
        timer.join()
        assert parent_of_child(telemetry) == "parent"
        _threads.uninstall()
        assert vars(threading.Timer)["start"] is others
    finally:
        _threads.uninstall()
        del threading.Timer.start


# Processes -----------------------------------------------------------------------------------------------------------

PROGRAM = """
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from opentelemetry import baggage, context, trace

from bmad_otel import _threads, configure, force_flush, track_task

METHOD, ENDPOINT, CHILD_CONFIGURES = sys.argv[1], sys.argv[2], sys.argv[3] == "configured"


def begin():
    if CHILD_CONFIGURES:
        configure(endpoint=ENDPOINT, protocol="http/protobuf", host_metrics=False)


@track_task(agent="Child")
def double(number):
    return number * 2


@track_task(agent="Child")
def fail():
    raise LookupError("mine")


def traced():
    return trace.get_current_span().get_span_context().is_valid, baggage.get_baggage("team")


@track_task(agent="Parent")
def parent(pool):
    token = context.attach(baggage.set_baggage("team", "blue"))
    assert pool.submit(double, 3).result(30) == 6
    assert list(pool.map(double, [1, 2])) == [2, 4]
    error = pool.submit(fail).exception(30)
    assert type(error) is LookupError and error.args == ("mine",), error
    assert pool.submit(traced).result(30) == (True, "blue")
    error = pool.submit(lambda: 1).exception(30)
    assert "lambda" in str(error), error
    context.detach(token)


if __name__ == "__main__":
    configure(endpoint=ENDPOINT, protocol="http/protobuf", host_metrics=False)
    _threads.install()
    with ProcessPoolExecutor(1, multiprocessing.get_context(METHOD), initializer=begin) as pool:
        parent(pool)
        assert pool.submit(traced).result(30) == (False, None), "nothing is left in the worker"
        pool.submit(force_flush).result(30)
    force_flush()
"""


def run(tmp_path: Path, method: str, endpoint: str, child: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, program, method, endpoint, child],
        env={"PYTHONPATH": str(Path.cwd()), "BMAD_OTEL_RAISE_INTERNAL": "1", "PATH": ""},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pool_child_linked(tmp_path: Path, method: str) -> None:
    with HttpReceiver() as receiver:
        run(tmp_path, method, receiver.endpoint, "configured")
        spans = receiver.spans()
    (parent,) = [span for span in spans if span.name == "invoke_agent Parent"]
    children = [span for span in spans if span.name == "invoke_agent Child"]
    assert len(children) == 4
    assert {span.parent_span_id for span in children} == {parent.span_id}
    assert {span.trace_id for span in children} == {parent.trace_id}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_process_that_does_not_report(tmp_path: Path, method: str) -> None:
    with HttpReceiver() as receiver:
        run(tmp_path, method, receiver.endpoint, "unconfigured")
        assert [span.name for span in receiver.spans()] == ["invoke_agent Parent"]
