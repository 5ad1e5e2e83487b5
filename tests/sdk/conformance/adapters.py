"""The decorators the rows are run on: ours, the OpenTelemetry SDK's own, one that does nothing, two that are wrong."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from bmad_otel import _threads, instrument_agent, track_task

from .kit import Traced, Unsupported


class BmadOtel(Traced):
    scope = "bmad_otel"

    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        return track_task(capture=True)(function) if capture else track_task(function)

    def decorate_class(self, cls: type) -> Any:
        return instrument_agent(cls)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        # of what `configure` does the part that is not about providers, which the tests of this process have set
        _threads.install()
        try:
            yield
        finally:
            _threads.uninstall()


class Configured(BmadOtel):
    """In a process that has called `configure`, which leaves nothing to be done."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        yield


class Nothing(Traced):
    """Returns the function as it is: perfect manners, no telemetry."""

    scope = "nothing"

    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        return function

    def decorate_class(self, cls: type) -> Any:
        return cls


class BareOpenTelemetry(Traced):
    """``tracer.start_as_current_span`` as a decorator."""

    scope = "bare"

    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        if capture:
            raise Unsupported
        return trace.get_tracer(self.scope).start_as_current_span("task")(function)

    def decorate_class(self, cls: type) -> Any:
        return self.decorate(cls)


class WrapperObject(Traced):
    """Replaces the function by an object: no binding to instances, no async, no pickling, and only `Exception` seen."""

    scope = "wrapper"

    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        return _Wrapper(function, self.scope, capture=capture)

    def decorate_class(self, cls: type) -> Any:
        return self.decorate(cls)


class _Wrapper:
    def __init__(self, function: Any, scope: str, *, capture: bool) -> None:
        self._function = function
        self._scope = scope
        self._capture = capture

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        span = trace.get_tracer(self._scope).start_span(self._function.__name__)
        if self._capture:
            span.set_attribute("input", repr((args, kwargs)))
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            result = self._function(*args, **kwargs)
        except Exception as error:
            span.record_exception(error)
            span.record_exception(error)  # once by hand, once by the context manager: seen in two of eight peers
            otel_context.detach(token)
            span.end()
            raise
        otel_context.detach(token)
        span.end()
        return result


class AttachesAcrossYields(Traced):
    """What most peers do: the span is made current at the call and until the end, and arguments go through ``json``."""

    scope = "attaches"

    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        def start(args: Any, kwargs: Any) -> tuple[Any, Any]:
            span = trace.get_tracer(self.scope).start_span(function.__name__)
            span.set_attribute("input", json.dumps((args, kwargs), default=lambda value: value.to_json()))
            return span, otel_context.attach(trace.set_span_in_context(span))

        def end(span: Any, token: Any, error: BaseException | None = None) -> None:
            if error is not None:
                span.set_status(StatusCode.ERROR)
                span.record_exception(error)
            otel_context.detach(token)
            span.end()

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                span, token = start(args, kwargs)
                return _items(function(*args, **kwargs), lambda error=None: end(span, token, error))

            return generator

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            def async_generator(*args: Any, **kwargs: Any) -> Any:
                span, token = start(args, kwargs)
                return _async_items(function(*args, **kwargs), lambda error=None: end(span, token, error))

            return async_generator

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                span, token = start(args, kwargs)
                try:
                    result = await function(*args, **kwargs)
                except Exception as error:
                    end(span, token, error)
                    raise
                end(span, token)
                return result

            return coroutine

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            span, token = start(args, kwargs)
            try:
                result = function(*args, **kwargs)
                span.set_attribute("output", json.dumps(result, default=str))
            except BaseException as error:
                end(span, token, error)
                raise
            end(span, token)
            return result

        return plain

    def decorate_class(self, cls: type) -> Any:
        for name, member in list(vars(cls).items()):
            if inspect.isfunction(member) and not name.startswith("_"):
                setattr(cls, name, self.decorate(member))
        return cls


def _items(source: Any, end: Any) -> Generator[Any, Any, None]:
    try:
        for item in source:  # noqa: UP028 - the fault in question: what is sent and returned is lost
            yield item
    except BaseException as error:
        end(error)
        raise
    end()


async def _async_items(source: Any, end: Any) -> AsyncGenerator[Any, None]:
    try:
        async for item in source:
            yield item
    except BaseException as error:
        end(error)
        raise
    end()
