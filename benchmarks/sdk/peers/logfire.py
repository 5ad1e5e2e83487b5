"""`@logfire.instrument()` after `logfire.configure`, which takes span processors besides its own exporter."""

from __future__ import annotations

import logfire

from sdk.discard import Discard, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    discard = Discard()
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[discard])
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(logfire.instrument()(nothing))},
        spans=discard.spans,
        last_span=discard.last_span,
        distributions=("logfire", "opentelemetry-sdk"),
    )
