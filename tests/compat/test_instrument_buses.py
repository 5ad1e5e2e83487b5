"""Events on both buses of BMAD: who sent, who processed, and in which trace."""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from bmad_otel import track_task
from bmad_otel.compat.instrument import instrument_bmad, uninstrument_bmad
from tests.compat.conftest import named

pytestmark = pytest.mark.usefixtures("bmad")

FILE_BUS = "bmad.agents.core.communication.message_bus"
AGENT_BUS = "bmad.agents.core.communication.agent_message_bus_integration"
EVENT_BUS = "bmad.core.message_bus.message_bus"


def file_bus() -> ModuleType:
    return importlib.import_module(FILE_BUS)


def trace_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def is_below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return child.parent is not None and parent.context is not None and child.parent.span_id == parent.context.span_id


@pytest.mark.parametrize("bmad_first", [False, True])
def test_an_event_is_sent_and_processed_in_one_trace(ended: list[ReadableSpan], bmad_first: bool) -> None:
    seen: list[Any] = []
    if bmad_first:
        file_bus().subscribe("built", seen.append)
    instrument_bmad(set_up=False)
    bus = file_bus()
    if not bmad_first:
        bus.subscribe("built", seen.append)
    with track_task(name="build", agent="Builder"):
        assert bus.publish("built", {"agent_name": "BackendDeveloperAgent", "api": 1}) is True
    sent, processed, task = (named(ended, name) for name in ("send built", "process built", "invoke_agent Builder"))
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert is_below(processed, sent)
    assert is_below(sent, task)
    assert sent.attributes is not None
    assert sent.attributes["messaging.system"] == "bmad_bus"
    assert sent.attributes["messaging.destination.name"] == "built"
    assert sent.attributes["gen_ai.agent.name"] == "BackendDeveloper"
    assert sent.attributes["bmad.bus.subscribers"] == 1
    (event,) = seen
    assert event["data"] == {"agent_name": "BackendDeveloperAgent", "api": 1}
    stored = json.loads(Path("shared_context.json").read_text())["events"][0]
    # who polls the file finds the way back
    found = trace.get_current_span(propagate.extract(stored["otel"])).get_span_context()
    assert sent.context is not None
    assert found.span_id == sent.context.span_id


def test_the_agents_handlers_run_detached_and_are_linked(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    integration = importlib.import_module(AGENT_BUS).AgentMessageBusIntegration
    handled: list[Any] = []

    async def handler(event: Any) -> None:
        await asyncio.sleep(0)
        handled.append(event)

    async def main() -> None:
        owner = integration("TestEngineerAgent")
        assert await owner.register_event_handler("built", handler)
        assert owner.event_handlers == {"built": handler}
        await integration("BackendDeveloper").publish_event("built", {"api": 1})
        while not handled:
            await asyncio.sleep(0)
        await owner.unregister_event_handler("built")  # does nothing in BMAD
        await integration("BackendDeveloper").publish_event("built", {"api": 2})
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert len(handled) == 1
    sent = next(span for span in ended if span.name == "send built")
    processed = named(ended, "process built")
    assert processed.parent is None
    assert trace_id(processed) != trace_id(sent)
    assert [link.context.span_id for link in processed.links] == [sent.context.span_id if sent.context else 0]
    assert processed.attributes is not None
    assert processed.attributes["gen_ai.agent.name"] == "TestEngineer"


def test_a_handler_may_publish_when_mended(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False, mend=True)
    bus = file_bus()
    answers: list[bool] = []
    bus.subscribe("first", lambda event: answers.append(bus.publish("second", {})))
    assert bus.publish("first", {})
    assert answers == [True]
    stored = [event["event"] for event in json.loads(Path("shared_context.json").read_text())["events"]]
    assert stored == ["first", "second"]
    assert is_below(named(ended, "send second"), named(ended, "process first"))


def test_without_mending_a_handler_that_publishes_fares_as_before(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    bus = file_bus()
    answers: list[bool] = []
    bus.subscribe("first", lambda event: answers.append(bus.publish("second", {})))
    assert bus.publish("first", {})
    assert answers == [False]  # the client gives up where BMAD waits for ever
    refused = named(ended, "send second")
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.attributes is not None
    assert refused.attributes["error.type"] == "publish_failed"


def test_mended_handlers_find_the_data_at_the_top_level(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False, mend=True)
    integration = importlib.import_module(AGENT_BUS).AgentMessageBusIntegration
    seen: list[Any] = []

    async def handler(event: Any) -> None:
        seen.append((event.get("api", "Unknown"), event["data"]["api"], event["event"]))

    async def main() -> None:
        owner = integration("ProductOwner")
        await owner.register_event_handler("built", handler)
        await owner.publish_event("built", {"api": 7})
        while not seen:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == [(7, 7, "built")]


def test_a_handler_that_raises_fails_its_own_span(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    bus = file_bus()

    def handler(event: Any) -> None:
        raise KeyError("payload")

    bus.subscribe("built", handler)
    assert bus.publish("built", {})
    assert named(ended, "process built").status.status_code is StatusCode.ERROR
    assert named(ended, "send built").status.status_code is not StatusCode.ERROR
    bus.unsubscribe("built", handler)
    assert bus._subscribers["built"] == []


def test_events_nobody_listens_to_are_seen(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    file_bus().publish("lost", {})
    attributes = named(ended, "send lost").attributes
    assert attributes is not None
    assert attributes["bmad.bus.subscribers"] == 0


@pytest.mark.parametrize("bmad_first", [False, True])
def test_the_bus_of_event_objects(ended: list[ReadableSpan], bmad_first: bool) -> None:
    given = {"text": "as"}
    seen: list[Any] = []

    async def handler(event: Any) -> None:
        seen.append(event.data)
        event.data["handled"] = True

    def plain(event: Any) -> None:
        seen.append(event.data)

    async def main() -> None:
        if bmad_first:
            await importlib.import_module(EVENT_BUS).get_message_bus().subscribe("story", handler)
        instrument_bmad(set_up=False)
        module = importlib.import_module(EVENT_BUS)
        bus = module.get_message_bus()
        if not bmad_first:
            await bus.subscribe("story", handler)
        await bus.subscribe("story", plain)
        assert await module.publish_event("story", given, "product-owner")
        assert await bus.unsubscribe("story", handler)
        assert await bus.unsubscribe("story", plain)
        assert not await bus.unsubscribe("story", plain)
        assert bus.event_history[0].data == {"text": "as", "handled": True}
        # another process takes it from the wire
        await bus.subscribe("story", plain)
        await bus.received(bus.on_the_wire[0])

    asyncio.run(main())
    assert seen[0] is seen[1] is given  # the publisher's own object, as without us
    assert "_otel" not in str(seen)
    sent = named(ended, "send story")
    processed = [span for span in ended if span.name == "process story"]
    assert len(processed) == 3
    assert all(is_below(span, sent) for span in processed)
    assert sent.kind is SpanKind.PRODUCER
    assert sent.attributes is not None
    assert sent.attributes["gen_ai.agent.name"] == "ProductOwner"


def test_everything_is_put_back(ended: list[ReadableSpan]) -> None:
    bus, agents, events = (importlib.import_module(name) for name in (FILE_BUS, AGENT_BUS, EVENT_BUS))
    seen: list[Any] = []
    bus.subscribe("built", seen.append)
    before = [dict(vars(each)) for each in (bus, agents, agents.AgentMessageBusIntegration, events.MessageBus)]
    before_callbacks = list(bus._subscribers["built"])
    instrument_bmad(set_up=False, mend=True)
    assert agents.publish is bus.publish is not before[0]["publish"]
    uninstrument_bmad()
    after = [dict(vars(each)) for each in (bus, agents, agents.AgentMessageBusIntegration, events.MessageBus)]
    assert after == before
    assert bus._subscribers["built"] == before_callbacks
    bus.publish("built", {})
    assert len(seen) == 1
    assert ended == [] or [span.name for span in ended] == []
