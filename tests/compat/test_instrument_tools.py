"""BMAD's own kind of MCP: what is called, what is missing, and what mending gives it."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from bmad_otel.compat.instrument import instrument_bmad, uninstrument_bmad
from tests.compat.conftest import named

pytestmark = pytest.mark.usefixtures("bmad")

CLIENT = "bmad.core.mcp.mcp_client"
ENHANCED = "bmad.core.mcp.enhanced_mcp_integration"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_calls_are_spans_that_tell_why_they_failed(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    module = importlib.import_module(CLIENT)

    async def broken(parameters: Any, context: Any) -> Any:
        raise OSError("disk full")

    async def main() -> None:
        client = module.MCPClient()
        for tool in (module.MCPTool("echo", "", {}, {}, ""), module.MCPTool("broken", "", {}, {}, "", broken)):
            client.register_tool(tool)
        context = module.MCPContext("BackendDeveloperAgent")
        assert (await client.call_tool("echo", {"a": 1}, context)).data == {"a": 1}
        assert not (await client.call_tool("broken", {}, context)).success
        assert not (await client.call_tool("absent", {}, context=context)).success

    asyncio.run(main())
    echo, broken_span, absent = (named(ended, f"tools/call {name}") for name in ("echo", "broken", "absent"))
    assert {span.kind for span in ended} == {SpanKind.CLIENT}
    assert attributes(echo) == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "echo",
        "gen_ai.agent.name": "BackendDeveloper",
        "bmad.tool.echoes": True,
    }
    assert attributes(broken_span)["error.type"] == "tool_error"
    assert broken_span.status.description == "disk full"
    assert attributes(absent)["error.type"] == "tool_not_found"
    assert absent.status.status_code is StatusCode.ERROR


def test_what_the_enhanced_layer_swallows_is_seen(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False)
    enhanced = importlib.import_module(ENHANCED).EnhancedMCPIntegration

    async def main() -> None:
        integration = enhanced("ReleaseManagerAgent")
        assert await integration.use_enhanced_mcp_tool("release", {}) is None
        await integration.initialize_enhanced_mcp()
        assert await integration.use_enhanced_mcp_tool("agent_communication", {"to": "RnD"}) is None
        assert await integration.use_enhanced_mcp_tool("quantum_leap", {}) is None

    asyncio.run(main())
    assert [(span.name, attributes(span)["error.type"], span.status.status_code) for span in ended] == [
        ("tools/call release", "tool_error", StatusCode.ERROR),
        ("tools/call agent_communication", "tool_error", StatusCode.ERROR),
        ("tools/call quantum_leap", "tool_not_found", StatusCode.ERROR),
    ]
    assert {attributes(span)["gen_ai.agent.name"] for span in ended} == {"ReleaseManager"}


def test_mended_the_enhanced_layer_returns_what_tools_return(ended: list[ReadableSpan]) -> None:
    report = instrument_bmad(set_up=False, mend=True)
    module = importlib.import_module(ENHANCED)

    async def main() -> Any:
        integration = module.EnhancedMCPIntegration("ProductOwner")
        assert not integration.register_tool("early")
        assert await integration.initialize()
        assert integration.register_tool("named_only")
        assert integration.register_tool("named_only")
        assert integration.register_tool("adds", lambda parameters, context: parameters["a"] + 1)
        assert integration.register_tool(module.MCPTool("whole", "", {}, {}, ""))
        # BMAD would return the arguments, and its agents would take them for an answer
        assert await integration.use_enhanced_mcp_tool("agent_communication", {"to": "RnD"}) is None
        assert await integration.use_enhanced_mcp_tool("adds", {"a": 1}) == 2
        assert await integration.use_enhanced_mcp_tool("named_only", {}) is None
        assert await integration.use_enhanced_mcp_tool("absent", {}) is None
        for _ in range(1005):
            await integration.use_enhanced_mcp_tool("adds", {"a": 1})
        return integration

    integration = asyncio.run(main())
    client = integration.mcp_client
    assert (len(client.contexts), len(client.requests), len(client.responses)) == (1000, 1000, 1000)
    assert all(seconds > 0 for seconds in integration.times)
    first = next(iter(client.contexts.values()))
    assert first.metadata["tool_name"] == "adds"
    calls = [(span.name, attributes(span).get("error.type")) for span in list(ended)[:4]]
    assert calls == [  # one span for each, however many layers it went through
        ("tools/call agent_communication", "tool_error"),
        ("tools/call adds", None),
        ("tools/call named_only", "tool_error"),
        ("tools/call absent", "tool_not_found"),
    ]
    assert str(ended[2].status.description) == "named_only has no handler"
    assert any("call_enhanced_tool" in line for line in report.mended)
    uninstrument_bmad()
    assert not hasattr(module.EnhancedMCPIntegration, "initialize")
    assert not hasattr(type(client), "call_enhanced_tool")


def test_a_tool_that_calls_itself_is_two_calls(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False, mend=True)
    module = importlib.import_module(ENHANCED)

    async def main() -> None:
        integration = module.EnhancedMCPIntegration("RnD")
        await integration.initialize()

        async def countdown(parameters: Any, context: Any) -> Any:
            left = parameters["left"]
            return await integration.use_enhanced_mcp_tool("countdown", {"left": left - 1}) if left else "zero"

        integration.register_tool("countdown", countdown)
        assert await integration.use_enhanced_mcp_tool("countdown", {"left": 2}) == "zero"

    asyncio.run(main())
    assert [span.name for span in ended] == ["tools/call countdown"] * 3
