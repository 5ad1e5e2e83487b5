"""The current task goes along into threads and pools, so that what runs there keeps its parent.

`threading.Thread.start`, `ThreadPoolExecutor.submit` and `ProcessPoolExecutor.submit` are replaced, and with them
everything the standard library builds on them: `threading.Timer`, `Executor.map`, `loop.run_in_executor`,
`asyncio.to_thread`. Where a span is current, OpenTelemetry's context and the current task go along, no other context
variable; into another process only what W3C trace context and baggage can say of them. Where none is, the call goes
through as it came.

Other packages replace the same methods. Whoever comes second carries the same context again around the same call, which
changes nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Token
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bmad_otel import _guard
from bmad_otel._replaced import Method, Replaced, replace, restore
from bmad_otel._task import CURRENT, Task

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

_BETWEEN_PROCESSES: Final = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
"""Not the program's own propagators: a child process may not have set them."""


def install() -> None:
    """Have threads and pools carry the current task from now on; does nothing where they already do."""
    for owner, name, make in _methods():
        replace(owner, name, make)


def uninstall() -> None:
    """Undo `install`: what was there before is there again, or used again where another package has replaced ours."""
    for owner, name, _ in _methods():
        restore(owner, name)


def _methods() -> Iterator[tuple[type, str, Callable[[Replaced], Method]]]:
    # gevent puts a class of its own in the place of Thread, which inherits the method
    yield next(kind for kind in threading.Thread.__mro__ if "start" in vars(kind)), "start", _thread_start
    if "start" in vars(threading.Timer):  # another package has given it a method of its own
        yield threading.Timer, "start", _thread_start
    yield ThreadPoolExecutor, "submit", _thread_pool_submit
    try:
        from concurrent.futures import ProcessPoolExecutor  # here: it loads multiprocessing
    except ImportError:  # a platform without semaphores has no process pools
        return
    yield ProcessPoolExecutor, "submit", _process_pool_submit


# What goes along ----------------------------------------------------------------------------------------------------

Carried = tuple[Context, Task | None]
"""OpenTelemetry's context and the current task, of the place where something was started or submitted."""

Tokens = tuple[Token[Context], Token[Task | None]]

_EXPORTING: Final = ("bmad-otel", "Otel")
"""How the names of our threads and of the OpenTelemetry SDK's begin. They start anew in a child forked in a task, and
outlive it."""

_NOTHING: Final[Carried] = (Context(), None)
"""Current while a pool starts threads and processes for itself: they outlive the task that happens to submit first."""


def _current() -> Carried | None:
    """What goes along from here; None when no span or task is current."""
    try:
        context = otel_context.get_current()
        if not context:
            return None
        task = CURRENT.get()
        if task is None and trace.get_current_span(context) is trace.INVALID_SPAN:
            return None
        return context, task
    except Exception as error:  # noqa: BLE001 - a program may bring its own implementation of the context
        _guard.contain("finding the context of a thread", error)
        return None


def _enter(carried: Carried) -> Tokens:
    context, task = carried
    return otel_context.attach(context), CURRENT.set(task)


def _leave(tokens: Tokens) -> None:
    token, task_token = tokens
    CURRENT.reset(task_token)
    otel_context.detach(token)


# Threads ------------------------------------------------------------------------------------------------------------


def _thread_start(replaced: Replaced) -> Method:
    def start(self: threading.Thread) -> None:
        run = _run_of(self) if replaced.is_on else None
        if run is None:
            replaced.call(self)
            return
        try:
            replaced.call(self)
        except BaseException:
            run.step_aside()  # the thread did not start
            raise

    return start


def _run_of(thread: threading.Thread) -> _Run | None:
    """Stands in for ``thread.run`` until the thread runs; None when there is nothing to carry."""
    carried = _current()
    if carried is None:
        return None
    try:
        if thread.ident is not None or thread.name.startswith(_EXPORTING):
            return None
    except (AssertionError, AttributeError):
        return None  # Thread.__init__ was not called: start() says so
    if type(thread).__module__ == "concurrent.futures.process":
        return None  # the manager of a process pool
    return _Run(thread, carried)


class _Run:
    """Called as ``run`` of one thread. As an attribute of the object it reaches subclasses that have a ``run`` too."""

    __slots__ = ("_attributes", "_before", "_carried", "_run")

    def __init__(self, thread: threading.Thread, carried: Carried) -> None:
        self._carried = carried
        self._run = thread.run
        self._attributes = vars(thread)
        self._before = self._attributes.get("run")
        self._attributes["run"] = self

    def __call__(self, *_: object) -> None:  # a package that wraps it in turn may pass the thread
        run, tokens = self._run, _enter(self._carried)
        self.step_aside()
        del self  # an exception keeps this frame: it must not keep the span
        try:
            run()
        finally:
            _leave(tokens)

    def step_aside(self) -> None:
        """Make ``thread.run`` what it was."""
        if self._attributes.get("run") is self:
            if self._before is None:
                del self._attributes["run"]
            else:
                self._attributes["run"] = self._before


# Pools --------------------------------------------------------------------------------------------------------------


def _thread_pool_submit(replaced: Replaced) -> Method:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        carried = _current() if replaced.is_on else None
        if carried is None or _is_interpreter_pool(self):
            future: Future[Any] = replaced.call(self, fn, *args, **kwargs)
            return future
        tokens = _enter(_NOTHING)
        try:
            future = replaced.call(self, _InThread(fn, carried), *args, **kwargs)
        finally:
            _leave(tokens)
        return future

    return submit


class _InThread:
    """A function in the context of its submission."""

    __slots__ = ("_carried", "_function")

    def __init__(self, function: Callable[..., Any], carried: Carried) -> None:
        self._function = function
        self._carried = carried

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        function, tokens = self._function, _enter(self._carried)
        del self  # the future keeps an exception, which keeps this frame: it must not keep the span
        try:
            return function(*args, **kwargs)
        finally:
            _leave(tokens)


def _is_interpreter_pool(pool: ThreadPoolExecutor) -> bool:
    """Whether the threads of ``pool`` are interpreters of their own (Python 3.14), where a span cannot go."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(pool, module.InterpreterPoolExecutor)


def _process_pool_submit(replaced: Replaced) -> Method:
    def submit(self: ProcessPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        carried = _current() if replaced.is_on else None
        headers = None if carried is None else _headers(carried)
        if not headers:
            future: Future[Any] = replaced.call(self, fn, *args, **kwargs)
            return future
        # Another package below ours needs the current context: it may carry more of it, by means of its own.
        tokens = None if replaced.covers_another() else _enter(_NOTHING)
        try:
            future = replaced.call(self, _InProcess(fn, headers), *args, **kwargs)
        finally:
            if tokens is not None:
                _leave(tokens)
        return future

    return submit


def _headers(carried: Carried) -> dict[str, str]:
    headers: dict[str, str] = {}
    try:
        _BETWEEN_PROCESSES.inject(headers, carried[0])
    except Exception as error:  # noqa: BLE001 - the call is submitted without
        _guard.contain("writing the context for another process", error)
    return headers


class _InProcess:
    """A function in the context that ``headers`` tell of. Pickled on its way: its module and name are a format."""

    __slots__ = ("_function", "_headers")

    def __init__(self, function: Callable[..., Any], headers: dict[str, str]) -> None:
        self._function = function
        self._headers = headers

    def __reduce__(self) -> tuple[Any, ...]:
        return _InProcess, (self._function, self._headers)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        tokens = _enter((_BETWEEN_PROCESSES.extract(self._headers), None))
        try:
            return self._function(*args, **kwargs)
        finally:
            _leave(tokens)
