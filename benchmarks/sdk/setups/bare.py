"""Spans and nothing else: no metrics, so nothing is collected."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider

from sdk.discard import Discard, bare_span_of, plain
from sdk.loops import SetUp


def set_up() -> SetUp:
    discard = Discard()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(discard)
    return SetUp(
        {"plain": plain, "bare": lambda: bare_span_of(provider)}, spans=discard.spans, last_span=discard.last_span
    )
