"""Tracked functions with providers made by `configure`: metrics go out by OTLP, spans to the null processor.

With OTEL_TRACES_SAMPLER=always_off the spans are sampled out and the metrics stay.
"""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import bmad_otel
from sdk.discard import Discard, bare_coroutine_of, bare_span_of
from sdk.loops import SetUp
from sdk.setups.tracked import FORMS, ten_awaits


def set_up() -> SetUp:
    # no exporter of spans, so that the processor behind the tracer is the same as in every other set-up
    os.environ["OTEL_TRACES_EXPORTER"] = "none"
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = os.environ["BENCHMARK_ENDPOINT"]
    bmad_otel.configure(host_metrics=False)
    provider, discard = trace.get_tracer_provider(), Discard()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(discard)

    def collect() -> None:
        if not bmad_otel.force_flush(60):
            raise RuntimeError("force_flush could not deliver the metrics")

    return SetUp(
        {
            **FORMS,
            "bare": lambda: bare_span_of(provider),
            "bare coroutine": lambda: bare_coroutine_of(provider, ten_awaits),
        },
        collect=collect,
        spans=discard.spans,
        last_span=discard.last_span,
    )
