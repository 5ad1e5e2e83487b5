"""`@observe` after `Langfuse`, which takes a span exporter behind a batch processor of its own."""

from __future__ import annotations

from langfuse import Langfuse, observe

from sdk.discard import DiscardExporter, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    exporter = DiscardExporter()
    client = Langfuse(public_key="pk-benchmark", secret_key="sk-benchmark", span_exporter=exporter)
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(observe(nothing))},
        collect=client.flush,
        spans=exporter.spans,
        distributions=("langfuse", "opentelemetry-sdk"),
    )
