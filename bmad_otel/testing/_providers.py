"""The global providers, tapped. Imports the OpenTelemetry SDK, so it is imported only when something is captured.

OpenTelemetry sets providers once per process and takes no processor off again. So one processor of ours stays on each
provider and hands what comes to the innermost recording; without one it does nothing. Providers of our own make no
spans then.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import _logs, metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracer, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from bmad_otel._instruments import is_placeholder
from bmad_otel.testing._recording import Recording

_DELTA: Final[dict[type, AggregationTemporality]] = dict.fromkeys(
    (Counter, UpDownCounter, Histogram), AggregationTemporality.DELTA
)
"""What is recorded is read as what came since the last time; what is observed stays the total the callback gives."""

_DISABLED_VARIABLE: Final = "OTEL_SDK_DISABLED"


class _Ids(IdGenerator):
    """The recording's own, which count from 1; random ones while nothing is recorded."""

    def generate_trace_id(self) -> int:
        recording = _tap.innermost()
        return _RANDOM.generate_trace_id() if recording is None else next(recording.trace_ids)

    def generate_span_id(self) -> int:
        recording = _tap.innermost()
        return _RANDOM.generate_span_id() if recording is None else next(recording.span_ids)


class _WhileRecording(Sampler):
    """Every span while something is recorded, whatever OTEL_TRACES_SAMPLER says; none else."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Any = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = ALWAYS_ON if _tap.recordings else ALWAYS_OFF
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return "bmad_otel.testing"


class _Spans(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's names
        if recording := _tap.innermost():
            recording.started(span)

    def on_end(self, span: ReadableSpan) -> None:
        # the one it started in, which need not be the innermost
        any(recording.ended(span) for recording in reversed(_tap.recordings))


class _LogRecords(LogRecordProcessor):
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if recording := _tap.innermost():
            recording.logged(log_record)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        return True


class _Tap:
    """What this process has attached so far, and who gets what comes."""

    def __init__(self) -> None:
        self.recordings: list[Recording] = []
        self.built_in: weakref.WeakKeyDictionary[Any, InMemoryMetricReader] = weakref.WeakKeyDictionary()
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def innermost(self) -> Recording | None:
        return self.recordings[-1] if self.recordings else None

    def is_new(self, provider: Any) -> bool:
        """Whether nothing of ours is attached yet; it counts as attached from now on."""
        if provider in self._known:
            return False
        self._known.add(provider)
        return True


_tap = _Tap()
_RANDOM: Final = RandomIdGenerator()


@contextmanager
def attached(recording: Recording) -> Iterator[None]:
    """Hand everything to ``recording`` until the end.

    Raises RuntimeError when the program's tracer provider does not let itself be tapped.
    """
    _attach_traces()
    _attach_logs()
    outer = _tap.innermost()
    if outer is not None:
        outer.points.fold()
    with _reading(recording):
        _tap.recordings.append(recording)
        try:
            yield
        finally:
            recording.points.read = None
            _tap.recordings.remove(recording)
            if outer is not None:
                outer.points.skip()


def _attach_traces() -> None:
    present = trace.get_tracer_provider()
    if is_placeholder(present):
        with _enabled():
            own = TracerProvider(sampler=_WhileRecording(), id_generator=_Ids(), shutdown_on_exit=False)
        trace.set_tracer_provider(own)
        present = own
    present = _stood_for(present)
    if not isinstance(present, TracerProvider):
        raise RuntimeError(
            f"spans cannot be captured: the tracer provider of this process is a {type(present).__name__}, not one of "
            "the OpenTelemetry SDK; do not set it in the tests, or use bmad_telemetry before it is set"
        )
    if isinstance(present.get_tracer("bmad_otel.testing"), NoOpTracer):
        raise RuntimeError(
            f"spans cannot be captured: the program's tracer provider was made while {_DISABLED_VARIABLE} was true; "
            "do not make one in the tests, or leave the variable out"
        )
    if _tap.is_new(present):
        present.add_span_processor(_Spans())


def _attach_logs() -> None:
    present = _logs.get_logger_provider()
    if type(present).__module__.startswith("opentelemetry._logs") and not isinstance(present, _logs.NoOpLoggerProvider):
        with _enabled():
            present = LoggerProvider(shutdown_on_exit=False)
        _logs.set_logger_provider(present)
    present = _stood_for(present)
    # a provider of another kind is the program's choice: its log records are not seen
    if isinstance(present, LoggerProvider) and _tap.is_new(present):
        present.add_log_record_processor(_LogRecords())


@contextmanager
def _reading(recording: Recording) -> Iterator[None]:
    """Let the recording read metrics: with a reader of its own where the provider takes readers off again."""
    present = metrics.get_meter_provider()
    if is_placeholder(present):
        reader = InMemoryMetricReader(preferred_temporality=_DELTA)
        with _enabled():
            present = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
        metrics.set_meter_provider(present)
        # on the oldest releases a provider gets its readers only here, so that this one stays
        if _takes_readers(present):
            present.remove_metric_reader(reader)
        else:
            _tap.built_in[present] = reader
    present = _stood_for(present)
    points = recording.points
    if isinstance(present, MeterProvider) and _takes_readers(present):
        reader = InMemoryMetricReader(preferred_temporality=_DELTA)
        present.add_metric_reader(reader)
        points.read = reader.get_metrics_data
        try:
            yield
        finally:
            present.remove_metric_reader(reader)
    else:
        if present in _tap.built_in:
            points.read = _tap.built_in[present].get_metrics_data
            points.skip()
        else:
            points.unreadable = (
                f"metrics cannot be captured: the program has set a {type(present).__name__} that takes no further "
                "reader; do not set it in the tests, or use a newer opentelemetry-sdk"
            )
        yield


def _stood_for(provider: Any) -> Any:
    """The SDK's provider behind ``provider``: Logfire sets ones of its own, which keep it in ``provider``."""
    inner = getattr(provider, "provider", None)
    return inner if isinstance(inner, TracerProvider | MeterProvider | LoggerProvider) else provider


def _takes_readers(provider: MeterProvider) -> bool:
    return hasattr(provider, "add_metric_reader")  # younger than the oldest release we work with


@contextmanager
def _enabled() -> Iterator[None]:
    """OTEL_SDK_DISABLED keeps the program from sending during its tests; it must not disable what tests look at."""
    earlier = os.environ.pop(_DISABLED_VARIABLE, None)
    try:
        yield
    finally:
        if earlier is not None:
            os.environ[_DISABLED_VARIABLE] = earlier
