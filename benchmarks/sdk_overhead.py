"""What `@track_task` costs beside a bare span, and beside the same signals written by hand.

CPU time of one thread per call, all forms in one run and in turn, so that a noisy machine disturbs them alike; the
median of many rounds. Spans go to an exporter that throws them away, metrics to a reader nobody reads.

    python benchmarks/sdk_overhead.py [calls per round] [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from bmad_otel import track_task
from bmad_otel._state import state


class Discard(SpanProcessor):
    """The null exporter: the cost measured is of making spans, which is the caller's, not of sending them."""

    def on_end(self, span: ReadableSpan) -> None: ...


def main(calls: int, rounds: int) -> None:
    untracked_s, noop_s = measure({"plain call": plain, "no providers": tracked}, calls, rounds).values()

    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(Discard())
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    tracer = trace.get_tracer("benchmark")
    meter = metrics.get_meter("benchmark")
    duration = meter.create_histogram("duration", unit="s")
    active = meter.create_up_down_counter("active")
    agent = {"gen_ai.agent.name": "Benchmark"}

    def bare_span() -> None:
        with tracer.start_as_current_span("invoke_agent Benchmark"):
            plain()

    def by_hand() -> None:
        attributes = {"gen_ai.operation.name": "invoke_agent", **agent, "bmad.task.name": "by_hand"}
        active.add(1, agent)
        start_s = time.perf_counter()
        outcome = "ok"
        with tracer.start_as_current_span("invoke_agent Benchmark", attributes=attributes) as span:
            try:
                plain()
            except BaseException:
                outcome = "error"
                raise
            finally:
                span.set_attribute("bmad.task.outcome", outcome)
                duration.record(time.perf_counter() - start_s, {**attributes, "bmad.task.outcome": outcome})
                active.add(-1, agent)

    state.open().providers_changed()
    forms = {"bare span": bare_span, "by hand": by_hand, "@track_task": tracked}
    cost_s = measure(forms, calls, rounds)
    coroutine_s = measure_coroutine(calls, rounds)
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("benchmark")
    state.open().tracer = unsampled
    (unsampled_s,) = measure({"sampled out": tracked}, calls, rounds).values()

    def us(seconds: float) -> str:
        return f"{(seconds - untracked_s) * 1e6:6.2f} us"

    print(f"bare start_as_current_span          {us(cost_s['bare span'])}")
    print(f"span + histogram + counter by hand  {us(cost_s['by hand'])}")
    print(f"@track_task                         {us(cost_s['@track_task'])}")
    print(f"@track_task, coroutine, one await   {us(coroutine_s)}")
    print(f"@track_task, span sampled out       {us(unsampled_s)}")
    print(f"@track_task, no providers           {us(noop_s)}")
    own_s = cost_s["@track_task"] - untracked_s
    print(f"ratio to a bare span                {own_s / (cost_s['bare span'] - untracked_s):6.2f}")
    print(f"ratio to the same by hand           {own_s / (cost_s['by hand'] - untracked_s):6.2f}")


def plain() -> None: ...


@track_task(agent="Benchmark")
def tracked() -> None: ...


@track_task(agent="Benchmark")
async def tracked_later() -> None:
    await asyncio.sleep(0)


async def plain_later() -> None:
    await asyncio.sleep(0)


def measure(forms: dict[str, Callable[[], None]], calls: int, rounds: int) -> dict[str, float]:
    """Median CPU seconds of one call of each form."""
    samples: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            start_s = time.thread_time()
            for _ in range(calls):
                form()
            samples[name].append((time.thread_time() - start_s) / calls)
    return {name: statistics.median(values) for name, values in samples.items()}


def measure_coroutine(calls: int, rounds: int) -> float:
    """Median CPU seconds one awaited call costs more than the same without tracking."""

    async def run() -> list[float]:
        differences = []
        for _ in range(rounds):
            taken = []
            for form in (plain_later, tracked_later):
                start_s = time.thread_time()
                for _ in range(calls):
                    await form()
                taken.append((time.thread_time() - start_s) / calls)
            differences.append(taken[1] - taken[0])
        return differences

    return statistics.median(asyncio.run(run()))


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:3], *("2000", "15")[len(sys.argv) - 1 :])))
