"""What the monitor costs the agents that call it: microseconds per call, milliseconds per collection, bytes per point.

    python benchmarks/monitor.py

Each set-up runs in a process of its own, since OpenTelemetry's providers are set once. The figure of a call is CPU time
of its thread, the median over rounds of 2,000 calls. The span beside it is the one the pair opens, with its attributes,
times and outcome, started and ended by hand through the OpenTelemetry API, in turns with the calls.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind

ROUNDS = 30
CALLS = 2_000

BUDGETS = {"pair": 10.0, "log_metric": 5.0, "_record_metric": 5.0}
"""Microseconds; the pair beyond the span that it opens."""


def per_call_us(work: Callable[[], object]) -> float:
    began_ns = time.thread_time_ns()
    for _ in range(CALLS):
        work()
    return (time.thread_time_ns() - began_ns) / CALLS / 1e3


def medians(**works: Callable[[], object]) -> dict[str, float]:
    """In turns, so that what the machine does besides falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            found[name].append(per_call_us(work))
    return {name: statistics.median(times) for name, times in found.items()}


class Agent:
    agent_name = "ProductOwner"

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor

    def log(self) -> None:
        self.monitor.log_metric("stories", 3.0)


def child(has_provider: bool) -> dict[str, float]:
    """The figures of one set-up."""
    if has_provider:
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    from bmad_otel import MetricType, PerformanceMonitor

    monitor = PerformanceMonitor()
    agent = Agent(monitor)
    tracer = trace.get_tracer("benchmark")
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "ProductOwner",
                  "bmad.task.name": "task", "bmad.task.id": "1"}  # fmt: skip

    def pair() -> None:
        monitor.start_task_tracking("ProductOwner", "workflow_123_task_456")
        monitor.end_task_tracking("ProductOwner", "workflow_123_task_456", True)

    def span() -> None:
        started_ns = time.time_ns()
        context = get_current()
        span = tracer.start_span(
            "invoke_agent ProductOwner", context, SpanKind.INTERNAL, attributes.copy(), None, started_ns
        )
        if span.is_recording():
            span.set_attribute("bmad.task.outcome", "ok")
        span.end(time.time_ns())

    def nothing() -> None:
        pass

    gc.freeze()
    found = medians(
        nothing=nothing,
        pair=pair,
        span=span,
        log_metric=lambda: monitor.log_metric("stories", 3.0, "count", "ProductOwner"),
        log_metric_of_caller=agent.log,
        _record_metric=lambda: monitor._record_metric("ProductOwner", MetricType.SUCCESS_RATE, 95.0, "%"),
    )
    found = {name: us - found["nothing"] for name, us in found.items() if name != "nothing"}
    return found | (collecting(monitor) if not has_provider else {})


def collecting(monitor: Any) -> dict[str, float]:
    """23 agents that have worked: one collection, and one question."""
    for number in range(23):
        monitor.start_task_tracking(f"Agent{number}", "1")
        monitor.end_task_tracking(f"Agent{number}", "1")
        monitor.log_metric("stories", 3.0, "count", f"Agent{number}")
    monitor.collect()
    times = {"collect_ms": monitor.collect, "summary_ms": lambda: monitor.get_agent_performance_summary("Agent1")}
    found = {}
    for name, work in times.items():
        rounds = []
        for _ in range(20):
            began_ns = time.thread_time_ns()
            work()
            rounds.append((time.thread_time_ns() - began_ns) / 1e6)
        found[name] = statistics.median(rounds)
    return found | {"bytes_per_point": bytes_per_point()}


def bytes_per_point() -> float:
    """Memory of a full history of 23 agents with 11 series each."""
    from bmad_processor.run.embedded import _Ring

    n_rings, size = 23 * 11, 1_000
    tracemalloc.start()
    rings = [_Ring(size) for _ in range(n_rings)]
    for ring in rings:
        for at in range(size + 10):
            ring.add(1_800_000_000_000_000_000 + at, float(at), at)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / n_rings / size


def run(has_provider: bool) -> dict[str, float]:
    out = subprocess.run(
        [sys.executable, __file__, "child", "provider" if has_provider else ""], check=True, capture_output=True
    ).stdout
    found: dict[str, float] = json.loads(out)
    return found


def main() -> None:
    without, beside = run(has_provider=False), run(has_provider=True)
    rows = (
        ("start + end, no tracer provider", without["pair"], BUDGETS["pair"]),
        ("start + end beyond the span it opens", beside["pair"] - beside["span"], BUDGETS["pair"]),
        ("log_metric", without["log_metric"], BUDGETS["log_metric"]),
        ("log_metric, agent found in the caller", without["log_metric_of_caller"], BUDGETS["log_metric"]),
        ("_record_metric", without["_record_metric"], BUDGETS["_record_metric"]),
    )
    print(f"{'':40} {'us':>7} {'budget':>7} {'ratio':>6}")
    for name, us, budget in rows:
        print(f"{name:40} {us:7.2f} {budget:7.1f} {us / budget:6.2f}")
    print(f"\nthe span itself: {beside['span']:.2f} us")
    print(f"one collection, 23 agents: {without['collect_ms']:.1f} ms; one summary: {without['summary_ms']:.1f} ms")
    print(f"history: {without['bytes_per_point']:.1f} bytes a point")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(sys.argv[2] == "provider")))
    else:
        main()
