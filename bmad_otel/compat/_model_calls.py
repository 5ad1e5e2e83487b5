"""A call of a model that has ended, as agents tell of it."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from bmad_otel import semconv
from bmad_otel._handle import current_task
from bmad_otel._labels import MAX_NAME_LENGTH, AttributeValue
from bmad_otel._state import state


def tell_model_call(
    tracer: Tracer, provider: str, model: str, sent: int, received: int, error: str | None, *, failed: bool
) -> None:
    """A span ``chat <model>`` and the tokens: on the account of the task around, else of nobody's.

    ``sent`` and ``received`` are tokens; less than none is none.
    """
    attributes: dict[str, AttributeValue] = {
        semconv.GEN_AI_OPERATION_NAME: "chat",
        semconv.GEN_AI_PROVIDER_NAME: provider[:MAX_NAME_LENGTH],
        semconv.GEN_AI_REQUEST_MODEL: model[:MAX_NAME_LENGTH],
    }
    sent, received = max(0, sent), max(0, received)
    tokens = {semconv.GEN_AI_USAGE_INPUT_TOKENS: sent, semconv.GEN_AI_USAGE_OUTPUT_TOKENS: received}
    name = f"chat {model}"[:MAX_NAME_LENGTH]
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes={**attributes, **tokens})
    if failed or error is not None:
        span.set_attribute(semconv.ERROR_TYPE, "llm_error")
        span.set_status(StatusCode.ERROR, (error or "")[:MAX_NAME_LENGTH])
    span.end()
    task = current_task()
    if task.is_running:
        task.record_usage(input_tokens=sent, output_tokens=received, model=model, provider=provider)
        return
    for kind, count in (("input", sent), ("output", received)):
        _measure(semconv.TOKEN_USAGE, count, {**attributes, semconv.GEN_AI_TOKEN_TYPE: kind})


def _measure(metric: semconv.Metric, value: float, attributes: dict[str, AttributeValue]) -> None:
    """One value where the SDK keeps its histograms; nothing happens in a program without providers."""
    instruments = state.open()
    if instruments.rests and not instruments.wakes_up():
        return
    span = trace.get_current_span()
    if instruments.folds:
        state.durations.series(metric, attributes).add(value, span)
    if instruments.records:
        instruments.record(metric, value, attributes, trace.set_span_in_context(span))
