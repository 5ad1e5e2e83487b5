"""Calls of tools over BMAD's client of its own kind of MCP: a span for each, with why it failed.

Source: semantic conventions for generative AI, "MCP": span ``tools/call <tool>`` of kind CLIENT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from bmad_otel import _failure, _guard, semconv
from bmad_otel._labels import MAX_NAME_LENGTH
from bmad_otel.compat._bmad import messages, names
from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport
from bmad_otel.monitor._names import canonical
from bmad_otel.semconv import Operation

NOT_FOUND: Final = "tool_not_found"
FAILED: Final = "tool_error"


class Call:
    """A call of a tool, and how it went so far as is known."""

    __slots__ = ("error_type", "has_layer_below", "message", "span", "tool")

    def __init__(self, tool: str, span: Span, *, has_layer_below: bool) -> None:
        self.tool = tool
        self.has_layer_below = has_layer_below
        self.span = span
        self.error_type: str | None = None
        self.message = ""

    def fail(self, error_type: str, message: object) -> None:
        """It failed; what is told first stands, for it was nearest."""
        if self.error_type is None:
            self.error_type, self.message = error_type, str(message)[:MAX_NAME_LENGTH]


_CALL: Final[ContextVar[Call | None]] = ContextVar("bmad_otel.tool_call", default=None)
"""The call being made: where it ``has_layer_below``, the next one of the same tool is the same call."""


def instrument_client(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`MCPClient.call_tool`."""
    _wrap(module, "MCPClient", "call_tool", _calling, patches, report)


def instrument_enhanced(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`EnhancedMCPIntegration.use_enhanced_mcp_tool`, which returns None for whatever went wrong."""
    _wrap(module, "EnhancedMCPIntegration", "use_enhanced_mcp_tool", _using, patches, report)


def _calling(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call_tool(self: Any, tool_name: Any, *args: Any, **kwargs: Any) -> Any:
        with _calls(str(tool_name), _agent_of(args, kwargs)) as call:
            tool = _tool(self, tool_name)
            if tool is not None and getattr(tool, "handler", self) is None:
                call.span.set_attribute(names.TOOL_ECHOES, True)
            response = await original(self, tool_name, *args, **kwargs)
            if getattr(response, "success", True) is False:
                known = tool is not None or not hasattr(self, "get_tool")
                call.fail(FAILED if known else NOT_FOUND, getattr(response, "error", "") or "")
            return response

    return call_tool


def _using(original: Callable[..., Any]) -> Callable[..., Any]:
    async def use_enhanced_mcp_tool(self: Any, tool_name: Any, *args: Any, **kwargs: Any) -> Any:
        with _calls(str(tool_name), getattr(self, "agent_name", None), has_layer_below=True) as call:
            result = await original(self, tool_name, *args, **kwargs)
            if result is None:
                client = getattr(self, "mcp_client", None)
                if not getattr(self, "enhanced_enabled", True) or client is None:
                    call.fail(FAILED, "enhanced MCP is not initialised")
                elif hasattr(client, "get_tool") and (tool := _tool(client, tool_name)) is None:
                    call.fail(NOT_FOUND, f"no tool {tool_name}")
                elif hasattr(client, "get_tool") and getattr(tool, "handler", self) is None:
                    call.fail(FAILED, f"{tool_name} has no handler")
                else:
                    call.fail(FAILED, "the call returned nothing; BMAD's log has the reason")
            return result

    return use_enhanced_mcp_tool


@contextmanager
def _calls(tool: str, agent: object, *, has_layer_below: bool = False) -> Iterator[Call]:
    around = _CALL.get()
    if around is not None and around.tool == tool and around.has_layer_below:
        around.has_layer_below = False
        yield around
        return
    span: Span = trace.INVALID_SPAN
    try:
        attributes = {
            names.MCP_METHOD: "tools/call",
            semconv.GEN_AI_OPERATION_NAME: Operation.EXECUTE_TOOL.value,
            semconv.GEN_AI_TOOL_NAME: tool[:MAX_NAME_LENGTH],
        }
        if isinstance(agent, str) and agent:
            attributes[semconv.GEN_AI_AGENT_NAME] = canonical(agent)[:MAX_NAME_LENGTH]
        span = messages.tracer().start_span(
            f"tools/call {tool}"[:MAX_NAME_LENGTH], kind=SpanKind.CLIENT, attributes=attributes
        )
    except Exception as error:  # noqa: BLE001 - samplers and processors are other people's code
        _guard.contain("starting a span", error)
    call = Call(tool, span, has_layer_below=has_layer_below)
    context = trace.set_span_in_context(span)
    token, call_token = otel_context.attach(context), _CALL.set(call)
    try:
        yield call
    except BaseException as error:
        if span.is_recording() and _failure.outcome_of(error, {}) in _failure.FAILURES:
            _failure.record(span, Operation.EXECUTE_TOOL, _failure.type_name(error), error, "", context)
            call.error_type = None
        raise
    finally:
        _CALL.reset(call_token)
        otel_context.detach(token)
        if call.error_type is not None:
            span.set_attribute(semconv.ERROR_TYPE, call.error_type)
            span.set_status(StatusCode.ERROR, call.message)
        span.end()


def _tool(client: Any, name: Any) -> Any:
    try:
        return client.get_tool(name)
    except Exception:  # noqa: BLE001 - the client is BMAD's, or a stand-in for it
        return None


def _agent_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    context = kwargs.get("context", args[1] if len(args) > 1 else None)
    return getattr(context, "agent_id", None)


def _wrap(
    module: ModuleType,
    owner_name: str,
    name: str,
    make: Callable[[Callable[..., Any]], Callable[..., Any]],
    patches: Patches,
    report: BmadReport,
) -> None:
    owner = getattr(module, owner_name, None)
    if owner is None or name not in vars(owner):
        report.missing.append(f"{module.__name__}.{owner_name}.{name}")
        return
    patches.wrap(owner, name, make)
    report.wrapped.append(f"{module.__name__}.{owner_name}.{name}")
