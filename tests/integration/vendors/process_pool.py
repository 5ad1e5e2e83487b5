"""A process pool of an application that uses Logfire, with ours added: `process_pool.py METHOD`.

Logfire carries its configuration into the child along with the context. Prints what the child saw and should have seen.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import logfire
from opentelemetry import trace

import bmad_otel


def seen() -> list[int]:
    """The current span, and the trace of a span of Logfire's, which is 0 where Logfire is not configured."""
    current = trace.get_current_span().get_span_context()
    with logfire.span("in the child"):
        below = trace.get_current_span().get_span_context()
    return [current.trace_id, current.span_id, below.trace_id]


@bmad_otel.track_task(agent="Parent")
def parent(method: str) -> None:
    current = trace.get_current_span().get_span_context()
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        found = pool.submit(seen).result(30)
    sys.stdout.write(json.dumps([found, [current.trace_id, current.span_id, current.trace_id]]))


if __name__ == "__main__":
    logfire.configure(send_to_logfire=False, console=False, service_name="library")
    bmad_otel.configure(host_metrics=False)
    parent(sys.argv[1])
