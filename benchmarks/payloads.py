"""Requests like those of real senders: one process per request, a few agents in it, eight attributes a span."""

from __future__ import annotations

import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TASKS = ("plan", "design", "review", "refine", "report")


def trace_request(
    n_spans: int,
    *,
    end_ns: int,
    seed: int,
    n_agents: int = 2,
    has_unique_ids: bool = True,
    offset: int = 0,
    id_lengths: tuple[int, ...] = (16,),
) -> bytes:
    """One `ExportTraceServiceRequest` with ``n_spans`` spans of ``n_agents`` agents that ended within a second.

    ``has_unique_ids`` gives every span an attribute value of its own (a task id), the harder case for caches; of one of
    ``id_lengths``, in turn.
    """
    rng = random.Random(seed)
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add()
    for key, value in (("service.name", "bench"), ("service.instance.id", f"i-{seed % 4}"), ("host.name", "host-1")):
        attribute = spans.resource.attributes.add()
        attribute.key, attribute.value.string_value = key, value
    scope = spans.scope_spans.add()
    scope.scope.name = "bmad_otel"
    for i in range(n_spans):
        agent = f"Agent{offset + i % n_agents}"
        span = scope.spans.add()
        span.trace_id, span.span_id = rng.randbytes(16), rng.randbytes(8)
        span.parent_span_id = rng.randbytes(8)
        span.name, span.kind, span.flags = f"invoke_agent {agent}", 1, 0x101
        span.end_time_unix_nano = end_ns - rng.randrange(1_000_000_000)
        span.start_time_unix_nano = span.end_time_unix_nano - round(rng.lognormvariate(18, 1))
        values = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent,
            "bmad.task.name": TASKS[i % len(TASKS)],
            "bmad.task.id": _task_id(rng, id_lengths[i % len(id_lengths)]) if has_unique_ids else "0",
            "gen_ai.request.model": "model-large",
            "thread.name": "MainThread",
            "code.function.name": "work",
            "bmad.task.outcome": "ok",
        }
        if i % 50 == 49:
            values["bmad.task.outcome"], values["error.type"] = "error", "TimeoutError"
            span.status.code = 2
            del values["thread.name"]
        for key, value in values.items():
            attribute = span.attributes.add()
            attribute.key, attribute.value.string_value = key, value
    return request.SerializeToString()


def _task_id(rng: random.Random, length: int) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"
