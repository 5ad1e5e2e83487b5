"""Tracked functions on providers that the application has set before: ours adds itself to what is there."""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from sdk.discard import Discard, bare_span_of, plain
from sdk.loops import SetUp
from sdk.setups.by_hand import by_hand
from sdk.setups.tracked import FORMS


def set_up() -> SetUp:
    discard, reader = Discard(), InMemoryMetricReader()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(discard)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return SetUp(
        {
            "plain": plain,
            "bare": lambda: bare_span_of(provider),
            "by hand": lambda: by_hand(provider.get_tracer("benchmark"), metrics.get_meter("benchmark")),
            "tracked": FORMS["tracked"],
        },
        collect=reader.get_metrics_data,
        spans=discard.spans,
        last_span=discard.last_span,
    )
