"""`@tracer.agent` of OpenInference's own provider."""

from __future__ import annotations

from openinference.instrumentation import TracerProvider

from sdk.discard import Discard, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    discard = Discard()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(discard)
    tracer = provider.get_tracer("benchmark")
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(tracer.agent(nothing))},
        spans=discard.spans,
        last_span=discard.last_span,
        distributions=("openinference-instrumentation", "opentelemetry-sdk"),
    )
