"""Content on spans: only where it was asked for, under the conventions' names, and never in the caller's way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from bmad_otel import Capture, Operation, track_task, track_tool
from bmad_otel._state import state

from .conftest import Telemetry, attributes


class Loud:
    def __repr__(self) -> str:
        raise RuntimeError("nobody asks")


def test_off_by_default(telemetry: Telemetry) -> None:
    track_task(agent="Research")(lambda paper: paper)("secret plans")
    assert "secret plans" not in str(dict(attributes(telemetry.span())))


@pytest.mark.parametrize(
    ("operation", "keys"),
    [
        (Operation.EXECUTE_TOOL, ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result")),
        (Operation.INVOKE_AGENT, ("bmad.task.arguments", "bmad.task.result")),
        (Operation.INVOKE_WORKFLOW, ("bmad.task.arguments", "bmad.task.result")),
    ],
)
def test_arguments_and_result(telemetry: Telemetry, operation: Operation, keys: tuple[str, str]) -> None:
    class Research:
        @track_task(operation=operation, capture=True)
        def find(self, title: str, limit: int = 5, *rest: int, password: str = "") -> list[str]:
            return [title]

    Research().find("owls", 3, 7, 8, password="hunter2")
    found = attributes(telemetry.span())
    assert json.loads(found[keys[0]]) == {"title": "owls", "limit": 3, "rest": [7, 8], "password": "[redacted]"}
    assert json.loads(found[keys[1]]) == ["owls"]


def test_async_and_parts_of_it(telemetry: Telemetry) -> None:
    @track_tool(capture=Capture(arguments=False))
    async def later(text: str) -> dict[str, str]:
        return {"echo": text}

    @track_tool(capture=Capture(result=False))
    def now(text: str) -> str:
        return text

    asyncio.run(later("a"))
    now("b")
    first, second = (attributes(span) for span in telemetry.spans())
    assert ("gen_ai.tool.call.arguments" in first, first["gen_ai.tool.call.result"]) == (False, '{"echo":"a"}')
    assert (second["gen_ai.tool.call.arguments"], "gen_ai.tool.call.result" in second) == ('{"text":"b"}', False)


@pytest.fixture
def captured_by_default() -> Iterator[None]:
    state.capture = Capture()
    yield
    state.capture = None


@pytest.mark.usefixtures("captured_by_default")
def test_the_programs_default_and_the_decorators_word(telemetry: Telemetry) -> None:
    track_tool(name="asked")(lambda a: a)(1)
    track_tool(name="refused", capture=False)(lambda a: a)(2)
    asked, refused = (attributes(span) for span in telemetry.spans())
    assert asked["gen_ai.tool.call.arguments"] == '{"a":1}'
    assert asked["gen_ai.tool.call.result"] == "1"
    assert not {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} & set(refused)


def test_hostile_values_reach_the_function_and_not_the_caller(telemetry: Telemetry) -> None:
    circle: list[Any] = []
    circle.append(circle)
    result = {"self": circle, "loud": Loud()}

    @track_task(agent="Research", capture=True)
    def work(value: object) -> object:
        return result

    assert work(Loud()) is result
    assert "Loud" in attributes(telemetry.span())["bmad.task.arguments"]


@pytest.mark.parametrize(
    ("value", "captured"), [("SPAN_ONLY", True), ("true", True), ("NO_CONTENT", False), ("", False), ("maybe", False)]
)
def test_the_variable(run_python: Callable[..., CompletedProcess[str]], value: str, captured: bool) -> None:
    result = run_python(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from bmad_otel import track_task
        spans = InMemorySpanExporter()
        provider = TracerProvider(); provider.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(provider)
        track_task(agent="A")(lambda n: n)(7)
        print("bmad.task.arguments" in spans.get_finished_spans()[0].attributes)
        """,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=value,
    )
    assert result.stdout.strip() == str(captured), result.stderr
    assert result.stderr.count("no content is captured") == (value == "maybe")


def test_configure_says_it_for_the_program(run_python: Callable[..., CompletedProcess[str]]) -> None:
    result = run_python(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from bmad_otel import Capture, configure, track_task
        configure(host_metrics=False, capture=Capture(redact=lambda path, value: "***" if path == "n" else value))
        spans = InMemorySpanExporter()
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
        track_task(agent="A")(lambda n: n)(7)
        print(spans.get_finished_spans()[0].attributes["bmad.task.arguments"])
        """,
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
    )
    assert result.stdout.strip() == '{"n":"***"}', result.stderr
