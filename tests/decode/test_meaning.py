"""Which spans are tasks, of whom, and which of them failed."""

from __future__ import annotations

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bmad_processor.decode import Decoder
from bmad_processor.model import Signal, TaskSample

from .metric_points import explicit, histogram, request
from .strategies import TIME_NS, attribute
from .wire_bytes import trace_request

Found = dict[str, object]


def samples_of(found: Found, *, status: int = 0, resource: Found | None = None) -> list[TaskSample]:
    span = Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        start_time_unix_nano=TIME_NS,
        end_time_unix_nano=TIME_NS + 1,
        attributes=[attribute(key, content) for key, content in found.items()],
        status=Status(code=status) if status else None,  # type: ignore[arg-type]
    )
    sender = Resource(attributes=[attribute(key, content) for key, content in (resource or {}).items()])
    body = trace_request([span.SerializeToString()], resource=sender.SerializeToString())
    result = Decoder(interval_ns=5_000_000_000).decode(Signal.TRACES, body)
    assert result.items == 1
    assert result.dropped == ({} if result.samples else {"spans_not_agent_tasks": 1})
    return [sample for sample in result.samples if isinstance(sample, TaskSample)]


def task(**found: object) -> TaskSample:
    (sample,) = samples_of({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "A", **found})
    return sample


@pytest.mark.parametrize(
    ("found", "agent"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Planner"}, "Planner"),
        ({"gen_ai.operation.name": "plan", "gen_ai.agent.name": "Planner"}, "Planner"),
        ({"openinference.span.kind": "AGENT", "agent.name": "Planner"}, "Planner"),
        ({"openinference.span.kind": "agent", "agent.name": "Planner"}, "Planner"),
        ({"openinference.span.kind": "AGENT", "gen_ai.agent.name": "Planner"}, "Planner"),
        ({"traceloop.span.kind": "agent", "traceloop.entity.name": "Planner"}, "Planner"),
        ({"traceloop.span.kind": "agent", "gen_ai.agent.name": "Planner"}, "Planner"),
        ({"gen_ai.operation.name": "invoke_agent"}, "svc"),
        ({"openinference.span.kind": "AGENT"}, "svc"),
        ({"traceloop.span.kind": "agent"}, "svc"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": ""}, "svc"),
    ],
)
def test_three_families_of_instrumentation(found: Found, agent: str) -> None:
    (sample,) = samples_of(found, resource={"service.name": "svc"})
    assert (sample.key.kind, sample.key.name) == ("agent", agent)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"gen_ai.agent.name": "Planner"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "Planner"},
        {"gen_ai.operation.name": "chat", "gen_ai.agent.name": "Planner"},
        {"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "Planner"},
        {"gen_ai.operation.name": "invoke_workflow", "gen_ai.agent.name": "Planner"},
        {"openinference.span.kind": "TOOL", "agent.name": "Planner"},
        {"openinference.span.kind": "LLM"},
        {"openinference.span.kind": "CHAIN"},
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "Planner"},
        {"traceloop.span.kind": "task"},
        {"traceloop.span.kind": "workflow"},
    ],
)
def test_parts_of_a_task_are_not_tasks(found: Found) -> None:
    assert samples_of(found) == []


@pytest.mark.parametrize(
    "name", ["ProductOwner", "product-owner", "ProductOwnerAgent", "product_owner", " PRODUCT OWNER "]
)
def test_one_name_per_agent(name: str) -> None:
    assert task(**{"gen_ai.agent.name": name}).key.name == "ProductOwner"


@pytest.mark.parametrize(
    ("resource", "namespace", "instance"),
    [
        ({}, "", "unknown"),
        ({"service.namespace": "shop"}, "shop", "unknown"),
        ({"service.namespace": "a/b\n"}, "a_b\N{REPLACEMENT CHARACTER}", "unknown"),
        ({"service.name": "svc"}, "", "svc"),
        ({"service.name": "svc", "host.name": "h"}, "", "h"),
        ({"service.name": "svc", "host.id": "id"}, "", "id"),
        ({"host.name": "h", "process.pid": 7}, "", "h:7"),
        ({"host.name": "h", "process.pid": 7, "service.instance.id": "i"}, "", "i"),
    ],
)
def test_namespace_and_instance(resource: Found, namespace: str, instance: str) -> None:
    (sample,) = samples_of({"gen_ai.operation.name": "invoke_agent"}, resource=resource)
    assert (sample.key.namespace, sample.instance) == (namespace, instance)


FAILURES: list[tuple[Found, str]] = [
    ({}, ""),
    ({"error.type": ""}, ""),
    ({"error.type": "ValueError"}, "ValueError"),
    ({"bmad.task.outcome": "ok"}, ""),
    ({"bmad.task.outcome": "ok", "error.type": "ValueError"}, ""),
    ({"bmad.task.outcome": "error", "error.type": "ValueError"}, "ValueError"),
    ({"bmad.task.outcome": "error"}, "_OTHER"),
    ({"bmad.task.outcome": "timeout"}, "_OTHER"),
    ({"bmad.task.outcome": "cancelled", "error.type": "CancelledError"}, ""),
    ({"bmad.task.outcome": "closed_early", "error.type": "GeneratorExit"}, ""),
]


@pytest.mark.parametrize(("found", "error"), FAILURES)
def test_which_tasks_failed(found: Found, error: str) -> None:
    sample = task(**found)
    assert sample.errors == bool(error)
    assert [e.error for e in sample.exemplars] == [error]


@pytest.mark.parametrize(("found", "error"), FAILURES)
def test_metrics_count_the_same_failures(found: Found, error: str) -> None:
    point = explicit({"gen_ai.agent.name": "A", **found}, count=3, sum=3.0, bucket_counts=[3, 0], explicit_bounds=[2.0])
    body = request([histogram(point, temporality=1)])
    (sample,) = Decoder(interval_ns=5_000_000_000).decode(Signal.METRICS, body).samples
    assert isinstance(sample, TaskSample)
    assert sample.errors == (3 if error else 0)


def test_error_status_is_a_failure() -> None:
    found: Found = {"gen_ai.operation.name": "invoke_agent"}
    assert [s.errors for status in (0, 1, 2) for s in samples_of(found, status=status)] == [0, 0, 1]
    (sample,) = samples_of(found | {"error.type": "ValueError"}, status=2)
    assert sample.exemplars[0].error == "ValueError"
    (sample,) = samples_of(found, status=2)
    assert sample.exemplars[0].error == "_OTHER"


def test_text_of_other_types() -> None:
    assert task(**{"gen_ai.agent.name": 7}).key.name == "7"
    assert task(**{"gen_ai.agent.name": True}).key.name == "True"
    (sample,) = samples_of({"gen_ai.operation.name": "plan", "gen_ai.agent.name": ["a"]}, resource={})
    assert sample.key.name == "unknown", "a list is no name"


def test_what_is_shown_to_people_is_cleaned() -> None:
    sample = task(**{"bmad.task.name": "a\x1b[31mb" + "c" * 500, "error.type": "E\n" * 100})
    (exemplar,) = sample.exemplars
    for text in (exemplar.task, exemplar.error):
        assert len(text) <= 128
        assert text.isprintable()
