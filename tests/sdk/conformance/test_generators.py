"""Rows on generator functions."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import trace

from .kit import (
    WORK_S,
    Body,
    Outside,
    Traced,
    exceptions,
    is_child,
    is_error,
    no_detach_log,
    own_tracer,
    work,
)


def test_gen_real_duration(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def numbers(n: int) -> Generator[int, Any, None]:
        for i in range(n):
            body.step()
            yield i
            work()
        body.step()

    assert list(numbers(3)) == [0, 1, 2]
    assert not is_error(body.one_span(lasting_s=3 * WORK_S))


def test_gen_return_value_kept(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def numbers() -> Generator[int, Any, str]:
        body.step()
        yield 1
        body.step()
        return "done"

    def delegates() -> Generator[int, Any, str]:
        return (yield from numbers())

    source = delegates()
    assert next(source) == 1
    with pytest.raises(StopIteration) as stopped:
        next(source)
    assert stopped.value.value == "done"
    body.one_span()


def test_gen_context_not_leaked_to_consumer(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def numbers() -> Generator[int, Any, None]:
        for i in range(3):
            body.step()
            yield i

    with own_tracer().start_as_current_span("consumer") as consumer:
        outside = Outside()
        source = numbers()
        outside.assert_unchanged()
        for _ in source:
            assert trace.get_current_span() is consumer
            outside.assert_unchanged()
            with own_tracer().start_as_current_span("of the consumer"):
                pass
        outside.assert_unchanged()
    span = body.one_span()
    *between, last = traced.other_spans()
    assert [is_child(own, last) for own in between] == [True] * 3
    assert is_child(span, last)


def test_gen_isgeneratorfunction_kept(traced: Traced) -> None:
    body = Body(traced)

    def numbers() -> Generator[int, Any, None]:
        body.step()
        yield 1

    decorated = traced.decorate(numbers)
    assert inspect.isgeneratorfunction(decorated)
    assert not inspect.iscoroutinefunction(decorated)
    source = decorated()
    assert inspect.isgenerator(source)
    assert inspect.getgeneratorstate(source) == inspect.GEN_CREATED
    assert list(source) == [1]
    body.one_span()


def test_gen_early_close_one_span_not_error_no_leak(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def numbers() -> Generator[int, Any, None]:
        try:
            body.step()
            yield 1
        finally:
            body.step()

    outside = Outside()
    with no_detach_log():
        source = numbers()
        next(source)
        source.close()
    outside.assert_unchanged()
    span = body.one_span()
    assert not is_error(span)
    assert exceptions(span) == []
    source.close()  # a second time is nothing
    assert list(source) == []
    assert len(traced.spans()) == 1


def test_gen_never_iterated_no_leak(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def numbers() -> Generator[int, Any, None]:
        body.step()
        yield 1

    outside = Outside()
    with no_detach_log():
        kept, dropped = numbers(), numbers()
        outside.assert_unchanged()
        del dropped
        kept.close()
        del kept
        gc.collect()
    outside.assert_unchanged()
    assert traced.spans() == []
    with own_tracer().start_as_current_span("later"):
        pass
    assert [span.parent for span in traced.other_spans()] == [None]
    assert list(numbers()) == [1]
    body.one_span()


def test_gen_send_and_throw_forwarded(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def talks() -> Generator[str, str, None]:
        body.step()
        heard = yield "start"
        body.step()
        try:
            yield heard.upper()
        except KeyError as error:
            body.step()
            yield f"caught {error}"

    source = talks()
    assert next(source) == "start"
    assert source.send("hello") == "HELLO"
    assert source.throw(KeyError("k")) == "caught 'k'"
    assert list(source) == []
    assert not is_error(body.one_span())


def test_gen_error_is_error(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def fails() -> Generator[int, Any, None]:
        body.step()
        yield 1
        body.step()
        raise ValueError("bad item")

    outside = Outside()
    source = fails()
    next(source)
    with pytest.raises(ValueError, match="bad item"):
        next(source)
    outside.assert_unchanged()
    span = body.one_span()
    assert is_error(span)
    assert len(exceptions(span)) == 1
