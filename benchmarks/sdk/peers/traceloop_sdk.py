"""`@task` after `Traceloop.init`, which takes a span processor."""

from __future__ import annotations

from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task

from sdk.discard import Discard, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    discard = Discard()
    Traceloop.init(app_name="benchmark", processor=discard, telemetry_enabled=False)
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(task(name="work")(nothing))},
        spans=discard.spans,
        last_span=discard.last_span,
        distributions=("traceloop-sdk", "opentelemetry-sdk"),
    )
