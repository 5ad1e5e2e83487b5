"""One value of a histogram of the SDK's table, measured outside of a tracked task."""

from __future__ import annotations

from opentelemetry import trace

from bmad_otel import semconv
from bmad_otel._labels import AttributeValue
from bmad_otel._state import state


def measure(metric: semconv.Metric, value: float, attributes: dict[str, AttributeValue]) -> None:
    """Add ``value`` where the SDK keeps its histograms; nothing happens in a program without providers."""
    instruments = state.open()
    if instruments.rests and not instruments.wakes_up():
        return
    if instruments.folds:
        state.durations.series(metric, attributes).add(value, trace.get_current_span())
    if instruments.records:
        instruments.record(metric, value, attributes, trace.set_span_in_context(trace.get_current_span()))
