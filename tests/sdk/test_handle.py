"""What a task says of itself: `current_task`, usage, failure; and what the decorator asks of results."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from bmad_otel import Outcome, TaskHandle, Usage, current_task, track_task, track_tool, track_workflow

from .conftest import Telemetry, attributes


def named(telemetry: Telemetry, name: str) -> Any:
    (span,) = [span for span in telemetry.spans() if span.name == name]
    return span


def test_the_innermost_task_is_the_current_one(telemetry: Telemetry) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def note() -> None:
        seen.append((current_task().agent, current_task().name))

    @track_tool(name="search")
    def search() -> None:
        note()

    @track_task(agent="Research")
    def read() -> None:
        note()
        search()
        with trace.get_tracer("app").start_as_current_span("the program's own span"):
            note()

    note()
    read()
    note()
    assert seen == [(None, None), ("Research", "read"), (None, "search"), ("Research", "read"), (None, None)]


def test_outside_of_a_task_everything_is_taken_and_ignored(telemetry: Telemetry) -> None:
    handle = current_task()
    handle.set_attribute("team.name", "blue")
    handle.record_usage(input_tokens=5)
    handle.fail("no")
    assert not handle.is_running
    assert handle.span is trace.INVALID_SPAN
    assert telemetry.spans() == []


def test_attributes_of_the_users_own(telemetry: Telemetry) -> None:
    @track_task(agent="Research")
    def read() -> None:
        current_task().set_attribute("team.name", "blue")
        with pytest.raises(ValueError, match="set by the SDK"):  # raised in tests, told once elsewhere
            current_task().set_attribute("gen_ai.agent.name", "Other")

    read()
    assert attributes(telemetry.span())["team.name"] == "blue"
    assert attributes(telemetry.span())["gen_ai.agent.name"] == "Research"


def test_wrong_words_about_a_task_do_not_reach_the_caller(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")

    @track_task(agent="Research")
    def read() -> str:
        task: Any = current_task()
        task.set_attribute("no name", object())
        task.record_usage(input_tokens=-1)
        task.fail(5)
        return "read"

    assert read() == "read"
    assert telemetry.outcome() == "ok"
    assert caplog.text.count("the program goes on") == 3


class TestUsage:
    def test_tokens_are_on_the_span_summed_and_on_the_metric_one_by_one(self, telemetry: Telemetry) -> None:
        @track_task(agent="Research")
        async def read() -> None:
            current_task().record_usage(input_tokens=100, output_tokens=7, model="m-1", provider="acme")
            await asyncio.sleep(0)
            current_task().record_usage(input_tokens=20, output_tokens=3, model="m-1", provider="acme")

        asyncio.run(read())
        found = attributes(telemetry.span())
        assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (120, 10)
        points = telemetry.points()
        assert {(p.attributes["gen_ai.token.type"], p.count, p.sum) for p in points["gen_ai.client.token.usage"]} == {
            ("input", 2, 120),
            ("output", 2, 10),
        }
        (point, _) = points["gen_ai.client.token.usage"]
        assert {k: v for k, v in point.attributes.items() if k != "gen_ai.token.type"} == {
            "gen_ai.operation.name": "chat", "gen_ai.agent.name": "Research",
            "gen_ai.request.model": "m-1", "gen_ai.provider.name": "acme",
        }  # fmt: skip
        (calls,) = points["gen_ai.invoke_agent.inference_calls"]
        assert (calls.count, calls.sum, dict(calls.attributes)) == (1, 2, {"gen_ai.agent.name": "Research"})

    def test_tokens_of_a_workflow_say_which_one(self, telemetry: Telemetry) -> None:
        """The innermost workflow around the call, across the agents and tools in between."""

        @track_tool(agent="Research")
        def search() -> None:
            current_task().record_usage(input_tokens=1)

        @track_task(agent="Research")
        def read() -> None:
            search()

        @track_workflow(name="inner")
        def inner() -> None:
            read()

        @track_workflow(name="release")
        def release() -> None:
            read()
            inner()
            current_task().record_usage(input_tokens=1)

        release()
        read()
        points = telemetry.points()["gen_ai.client.token.usage"]
        found = {
            (p.attributes.get("gen_ai.workflow.name"), p.attributes.get("gen_ai.agent.name")): p.count
            for p in points
            if p.attributes["gen_ai.token.type"] == "input"
        }
        assert found == {
            ("release", "Research"): 1, ("inner", "Research"): 1, ("release", None): 1, (None, "Research"): 1,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "reported",
        [
            Usage(12, 5, "m", "p"),
            {"input_tokens": 12, "output_tokens": 5, "model": "m", "provider": "p"},
            {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        ],
    )
    def test_taken_from_the_result(self, telemetry: Telemetry, reported: Any) -> None:
        @track_task(agent="Research", usage=lambda result: result["usage"])
        def read() -> dict[str, Any]:
            return {"usage": reported}

        read()
        found = attributes(telemetry.span())
        assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (12, 5)

    def test_no_usage_no_points(self, telemetry: Telemetry) -> None:
        track_task(agent="Research", usage=lambda result: None)(lambda: "text")()
        assert "gen_ai.client.token.usage" not in telemetry.points()
        assert "gen_ai.usage.input_tokens" not in attributes(telemetry.span())

    def test_what_tools_do_counts_for_the_agent_that_calls_them(self, telemetry: Telemetry) -> None:
        @track_tool
        def summarise() -> None:
            current_task().record_usage(input_tokens=1)

        @track_task(agent="Research")
        def read() -> None:
            for _ in range(3):
                summarise()

        @track_workflow
        def nightly() -> None:
            read()
            summarise()  # no agent's

        nightly()
        points = telemetry.points()
        (tools,) = points["gen_ai.invoke_agent.tool_calls"]
        (calls,) = points["gen_ai.invoke_agent.inference_calls"]
        assert (tools.count, tools.sum) == (1, 3)
        assert (calls.count, calls.sum) == (1, 3)


class TestFailure:
    @pytest.mark.parametrize(
        ("verdict", "error_type", "message"),
        [
            (True, "task_error", ""),
            ("quota exceeded", "task_error", "quota exceeded"),
            (KeyError("k"), "KeyError", "'k'"),
        ],
    )
    def test_a_result_may_be_a_failure(
        self, telemetry: Telemetry, verdict: object, error_type: str, message: str
    ) -> None:
        result = {"error": verdict}

        @track_task(agent="Research", detect_failure=lambda result: result["error"])
        def read() -> object:
            return result

        assert read() is result
        span = telemetry.span()
        assert (telemetry.outcome(), attributes(span)["error.type"]) == ("error", error_type)
        assert (span.status.status_code, span.status.description or "") == (StatusCode.ERROR, message)
        (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
        assert point.attributes["error.type"] == error_type

    @pytest.mark.parametrize("verdict", [None, False, "", 0, {}])
    def test_what_is_not_true_is_no_failure(self, telemetry: Telemetry, verdict: object) -> None:
        track_task(agent="Research", detect_failure=lambda result: verdict)(lambda: None)()
        assert telemetry.outcome() == "ok"

    def test_every_shape_is_asked(self, telemetry: Telemetry) -> None:
        def failed(result: object) -> bool:
            return result == "bad"

        @track_tool(detect_failure=failed)
        async def later() -> str:
            return "bad"

        @track_tool(detect_failure=failed)
        def stream() -> Generator[int, None, str]:
            yield 1
            return "bad"

        asyncio.run(later())
        list(stream())
        assert [(s.name, attributes(s)["error.type"]) for s in telemetry.spans()] == [
            ("execute_tool later", "tool_error"), ("execute_tool stream", "tool_error"),
        ]  # fmt: skip

    def test_said_by_the_task_itself(self, telemetry: Telemetry) -> None:
        @track_task(agent="Research")
        async def stream() -> AsyncGenerator[int, None]:
            yield 1
            current_task().fail("half of it", error_type="incomplete")

        async def main() -> None:
            async for _ in stream():
                pass

        asyncio.run(main())
        assert (telemetry.outcome(), attributes(telemetry.span())["error.type"]) == ("error", "incomplete")
        assert not telemetry.span().events  # there was no exception

    def test_an_exception_has_precedence(self, telemetry: Telemetry) -> None:
        @track_task(agent="Research")
        def read() -> None:
            current_task().fail("before")
            raise ValueError("after")

        with pytest.raises(ValueError, match="after"):
            read()
        assert attributes(telemetry.span())["error.type"] == "ValueError"

    def test_a_broken_question_does_not_reach_the_caller(
        self, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")

        @track_task(agent="Research", detect_failure=lambda result: result["missing"])
        def read() -> dict[str, object]:
            return {}

        assert [read(), read()] == [{}, {}]
        assert [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()] == ["ok", "ok"]
        assert caplog.text.count("looking at a result") == 1

    def test_outcomes_by_class_of_exception(self, telemetry: Telemetry) -> None:
        class Stop(Exception):
            pass

        class Sooner(Stop):
            pass

        outcomes = {Stop: Outcome.OK, asyncio.CancelledError: Outcome.ERROR, KeyError: Outcome.TIMEOUT}
        for error in (Sooner(), asyncio.CancelledError(), KeyError("k"), ValueError("v")):

            def raises(error: BaseException = error) -> None:
                raise error

            with pytest.raises(type(error)):
                track_task(agent="Research", outcomes=outcomes)(raises)()
        assert [(attributes(s)["bmad.task.outcome"], attributes(s).get("error.type")) for s in telemetry.spans()] == [
            ("ok", None), ("error", "asyncio.exceptions.CancelledError"), ("timeout", "KeyError"),
            ("error", "ValueError"),
        ]  # fmt: skip


class TestExceptionsAreToldOnce:
    def fail(self, telemetry: Telemetry) -> None:
        @track_tool(name="inner")
        def inner() -> None:
            raise ValueError("no")

        @track_task(agent="Outer")
        def outer() -> None:
            inner()

        with pytest.raises(ValueError, match="no"):
            outer()

    def test_by_the_innermost_task(self, telemetry: Telemetry) -> None:
        self.fail(telemetry)
        inner, outer = telemetry.spans()
        assert [event.name for event in inner.events] == ["exception"]
        assert not outer.events
        for span in (inner, outer):
            assert (span.status.status_code, attributes(span)["error.type"]) == (StatusCode.ERROR, "ValueError")

    def test_once_more_in_another_trace(self, telemetry: Telemetry) -> None:
        error = ValueError("the same object")

        def raises() -> None:
            raise error

        for _ in range(2):
            with pytest.raises(ValueError, match="same"):
                track_task(agent="Research")(raises)()
        assert [len(span.events) for span in telemetry.spans()] == [1, 1]


def test_a_handle_may_outlive_its_task(telemetry: Telemetry) -> None:
    handles: list[TaskHandle] = []
    track_task(agent="Research")(lambda: handles.append(current_task()))()
    (handle,) = handles
    assert not handle.is_running
    handle.fail("too late")
    assert telemetry.outcome() == "ok"


def test_tasks_of_threads_do_not_see_each_other(telemetry: Telemetry) -> None:
    seen: set[tuple[str, str | None]] = set()
    barrier = threading.Barrier(8)

    def work(agent: str) -> None:
        @track_task(agent=agent)
        def task() -> None:
            barrier.wait(10)
            seen.add((agent, current_task().agent))

        task()

    threads = [threading.Thread(target=work, args=(f"A{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {(f"A{i}", f"A{i}") for i in range(8)}
