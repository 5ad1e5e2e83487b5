"""BMADTracer as BMAD's agents construct and use it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from bmad_otel.compat._open_spans import MAX_OPEN
from bmad_otel.compat.tracing import (
    AgentSpan,
    BMADTracer,
    ExporterType,
    TraceLevel,
    TracingConfig,
    get_tracer,
    initialize_tracing,
    trace_agent,
    trace_workflow,
)
from bmad_otel.testing import Telemetry


class Shape:
    service_name = "shape"
    service_version = "2"
    environment = "test"
    sample_rate = 1
    exporters: list[object] = []  # noqa: RUF012 - BMAD's agents do the same


@pytest.mark.parametrize(
    ("tracer", "name"),
    [
        (lambda: BMADTracer(TracingConfig(service_name="config")), "config"),
        (lambda: BMADTracer(config=Shape()), "shape"),
        (lambda: BMADTracer("bare"), "bare"),
        (lambda: BMADTracer(service_name="keyword"), "keyword"),
        (BMADTracer, "bmad-agents"),
        (lambda: BMADTracer({"service_name": "mapping", "trace_level": "basic"}), "mapping"),
        (lambda: BMADTracer(SimpleNamespace(service_name=None, sample_rate="all")), "bmad-agents"),
    ],
)
def test_a_tracer_is_made_of_every_shape(tracer, name, bmad_telemetry: Telemetry) -> None:
    made = tracer()
    assert made.config.service_name == name
    with made.start_span("work"):
        pass
    assert [span.name for span in bmad_telemetry.spans] == ["work"]
    assert made.get_tracing_summary()["service_name"] == name


def test_tracers_set_no_provider_and_lose_nothing_to_each_other(bmad_telemetry: Telemetry) -> None:
    before = trace.get_tracer_provider()
    first, second = BMADTracer("first"), BMADTracer("second")
    for tracer in (first, second):
        with tracer.trace_agent_execution("Planner", "plan"):
            pass
    assert trace.get_tracer_provider() is before
    assert len(bmad_telemetry.tasks("Planner", "plan", "ok")) == 2


def test_spans_in_blocks_nest_and_errors_fail_them(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("nesting")

    def work() -> None:
        with tracer.start_span("outer") as outer, tracer.start_span("inner"):
            assert tracer.get_span_id() != outer.id
            assert tracer.get_trace_id() == format(outer.get_span_context().trace_id, "032x")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert tracer.get_span_id() is None
    inner, outer = bmad_telemetry.spans
    assert (inner.name, outer.name) == ("inner", "outer")
    assert [child.name for child in outer.children] == ["inner"]
    assert inner.attributes["error.type"] == outer.attributes["error.type"] == "ValueError"
    assert tracer.get_tracing_summary()["spans_failed"] == 2


def test_a_span_may_be_used_without_a_block(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("plain")
    span = tracer.start_span("deploy", {"target": "production", "password": "hunter2"})  # attributes as the level
    assert span  # BMAD's agents ask
    span.set_attribute("files", ["a", "b"])
    span.add_event("half way", {"done": 0.5}, timestamp=12.5)
    child = tracer.create_child_span("copy", span, {"size": 2**80})
    child.end()
    assert tracer.get_span_id() is None  # nothing was made current
    assert tracer.end_span(span.id, {"success": True})
    assert not tracer.end_span(span.id)
    span.end()
    copied, deployed = bmad_telemetry.spans
    assert deployed.attributes["files"] == '["a","b"]'
    assert deployed.attributes["target"] == "production"
    assert "hunter2" not in str(deployed.attributes)
    assert deployed.attributes["success"] is True
    assert deployed.attributes["trace.level"] == "detailed"
    assert [event.name for event in deployed.events] == ["half way"]
    assert copied in deployed.children
    assert copied.attributes["size"] == str(2**80)


def test_spans_nobody_ends_are_ended_when_there_are_too_many(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("forgetful")
    for number in range(MAX_OPEN + 3):
        tracer.start_span(f"span {number}")
    assert [span.name for span in bmad_telemetry.spans] == ["span 0", "span 1", "span 2"]
    assert bmad_telemetry.spans[0].attributes["bmad.span.abandoned"] is True
    summary = tracer.get_tracing_summary()
    assert (summary["spans_open"], summary["spans_abandoned"]) == (MAX_OPEN, 3)
    assert len(summary["operations"]) == 101  # names are bounded as well
    tracer.shutdown()
    assert tracer.get_tracing_summary()["spans_open"] == 0
    with BMADTracer("after").start_span("after"):  # the providers live on
        pass
    assert bmad_telemetry.spans[-1].name == "after"


def test_events_and_attributes_of_a_span_by_its_id_or_of_the_current_one(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("by id")
    span = tracer.start_span("one")
    tracer.record_event("told", {"n": 1}, span.id)
    tracer.add_attribute("colour", "red", span.id)
    with tracer.start_span("two") as two:
        tracer.record_event("told here")
        tracer.add_attribute("colour", "blue")
        tracer.add_span_event(two, "more", {"n": 2})
        tracer.add_span_attribute(two, "size", 3)
        BMADTracer(TracingConfig(trace_level=TraceLevel.BASIC)).add_span_event(two, "too much")
    span.end()
    two_record, one_record = bmad_telemetry.spans
    assert (one_record.attributes["colour"], two_record.attributes["colour"]) == ("red", "blue")
    assert [event.name for event in one_record.events] == ["told"]
    assert [event.name for event in two_record.events] == ["told here", "more"]


def test_what_agents_call_and_bmad_never_had(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("told")

    async def agent() -> None:
        assert await tracer.initialize() is True
        assert await tracer.setup_release_tracing({"agent_name": "ReleaseManager"}) is True
        ids = await tracer.add_trace("release_operation", {"version": "1.2"})
        assert ids["trace_id"]
        await tracer.trace_operation({"operation_type": "rollback", "error": "disk full"})
        await tracer.trace_operation(operation="approve", success=True)
        with tracer.start_span("deploy"):
            await tracer.trace_component_development({"component": "button"})
            await tracer.trace_anything()

    asyncio.run(agent())
    by_name = {span.name: span for span in bmad_telemetry.spans}
    assert by_name["release_operation"].attributes["version"] == "1.2"
    assert by_name["rollback"].status == "error"
    assert by_name["approve"].status != "error"
    assert [event.name for event in by_name["deploy"].events] == ["component_development", "anything"]
    assert hasattr(tracer, "trace_user_interaction")
    assert not hasattr(tracer, "paint")
    assert tracer.get_tracing_summary()["traces_told"] == 5


def test_nothing_an_agent_hands_over_raises(bmad_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")  # as in an agent's own process

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    tracer = BMADTracer(Hostile())

    async def agent() -> None:
        await tracer.add_trace("odd", Hostile())
        await tracer.trace_operation(Hostile())
        await tracer.trace_things({1: Hostile(), "nested": {"a": [Hostile()]}})

    asyncio.run(agent())
    with tracer.start_span("", attributes={"x": Hostile()}) as span:
        span.set_attribute("y", Hostile())
        span.add_event("z", {"q": Hostile()})
        span.record_exception(KeyError("k"))
    tracer.end_span("no such span")
    tracer.trace_llm_call("p", "m", "many", None)  # type: ignore[arg-type]
    assert "unnamed" in [span.name for span in bmad_telemetry.spans]


def test_agents_and_workflows_are_tasks_with_metrics(bmad_telemetry: Telemetry) -> None:
    tracer = BMADTracer("tasks")
    with tracer.trace_workflow_execution("release", "release_7", {"risk": "low"}) as workflow:
        workflow.set_attribute("stage", 2)
        with tracer.trace_agent_execution("Tester", "test", "release_7", {"suite": "all", "bmad.own": 1}):
            tracer.trace_llm_call("openai", "gpt-4", 100, 20)
        with pytest.raises(OSError, match="gone"), tracer.trace_agent_execution("Deployer", "deploy"):
            raise OSError("gone")
    assert bmad_telemetry.tree() == (
        "invoke_workflow release: ok\n"
        "  invoke_agent Tester (test): ok\n"
        "    chat gpt-4\n"
        "  invoke_agent Deployer (deploy): error OSError"
    )
    tested = bmad_telemetry.task("Tester", "test")
    assert tested.attributes["suite"] == "all"
    assert "bmad.own" not in tested.attributes
    assert tested.attributes["bmad.workflow.id"] == "release_7"
    assert bmad_telemetry.task("Deployer").outcome == "error"
    tokens = bmad_telemetry.histogram("gen_ai.client.token.usage", token_type="input")
    assert (tokens.count, tokens.sum) == (1, 100)


def test_a_model_call_outside_of_a_task_has_its_tokens_counted(bmad_telemetry: Telemetry) -> None:
    BMADTracer("llm").trace_llm_call("anthropic", "claude", 7, 3, status="error", error="overloaded")
    (span,) = bmad_telemetry.spans
    assert (span.name, span.status) == ("chat claude", "error")
    assert bmad_telemetry.histogram("gen_ai.client.token.usage", token_type="output").sum == 3


def test_decorators_keep_the_function(bmad_telemetry: Telemetry) -> None:
    @trace_agent("Planner", "plan", "w1")
    async def plan(goal: str) -> str:
        """Plan."""
        return goal

    @trace_workflow("release", "w1")
    def release() -> str:
        return asyncio.run(plan("all"))

    @trace_agent("", "")
    def nameless() -> int:
        return 1

    assert release() == "all"
    assert nameless() == 1
    assert (plan.__name__, plan.__doc__) == ("plan", "Plan.")
    assert inspect.iscoroutinefunction(plan)
    assert str(inspect.signature(plan)).startswith("(goal")
    assert bmad_telemetry.task("Planner", "plan") in bmad_telemetry.task(task="release").children


def test_the_tracer_of_the_process(bmad_telemetry: Telemetry) -> None:
    made = initialize_tracing(TracingConfig(service_name="process"))
    assert get_tracer() is made
    assert made.export_traces() in (True, False)


def test_settings_without_effect_are_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bmad_otel._guard._told", set())
    with caplog.at_level(logging.WARNING, logger="bmad_otel"):
        for _ in range(3):
            BMADTracer(TracingConfig(exporters=[ExporterType.JAEGER, ExporterType.OTLP], sample_rate=0.1))
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "jaeger, otlp" in caplog.text
    assert "OTEL_TRACES_SAMPLER" in caplog.text


def test_the_note_of_an_agent_s_span() -> None:
    note = AgentSpan("Planner", "plan", attributes={"a": 1})
    assert (note.status.status_code, note.events) == (StatusCode.UNSET, [])
    assert AgentSpan("A", "b").attributes is not AgentSpan("A", "b").attributes
