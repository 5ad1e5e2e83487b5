"""Run by `overhead`: prints what one call costs, as JSON. Spans and metrics are made as in any program and then thrown
away; what sending costs is not the caller's time."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from bmad_otel import configure, track_task

CALLS: Final = 500
ROUNDS: Final = 21
"""A round is some ten milliseconds; the median of this many is steady within a few percent on a busy machine."""


class Discard(SpanProcessor):
    """Takes what ends and does nothing with it."""

    def on_end(self, span: ReadableSpan) -> None: ...


def plain() -> None: ...


@track_task(agent="Doctor")
def tracked() -> None: ...


def main() -> None:
    configure(service_name="doctor", host_metrics=False)
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise RuntimeError("configure has set no tracer provider")
    provider.add_span_processor(Discard())
    tracer = trace.get_tracer("doctor")

    def in_bare_span() -> None:
        with tracer.start_as_current_span("invoke_agent Doctor"):
            plain()

    cost_us = _measure({"plain": plain, "bare": in_bare_span, "tracked": tracked})
    result = {
        "tracked_us": round(cost_us["tracked"] - cost_us["plain"], 3),
        "bare_span_us": round(cost_us["bare"] - cost_us["plain"], 3),
        "calls": CALLS,
        "rounds": ROUNDS,
        "python": sys.version.split()[0],
    }
    sys.stdout.write(json.dumps(result))


def _measure(forms: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median CPU microseconds of a call of each form; they take turns, so that a noisy machine disturbs all alike."""
    samples: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            start_ns = time.thread_time_ns()
            for _ in range(CALLS):
                form()
            samples[name].append((time.thread_time_ns() - start_ns) / CALLS / 1000)
    return {name: statistics.median(values) for name, values in samples.items()}


if __name__ == "__main__":
    main()
