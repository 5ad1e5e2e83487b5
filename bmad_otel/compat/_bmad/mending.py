"""What BMAD's agents call and BMAD does not have, or not with these arguments. Only where ``mend`` asks for it."""

from __future__ import annotations

import inspect
import time
import uuid
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any, Final

from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport
from bmad_otel.compat._collected import Collected, Kind, labels_of
from bmad_otel.compat._exposition import exposition

_MAX_KEPT: Final = 1000
"""Contexts, requests and responses a client keeps: what has been answered is read by nobody."""

_ANYTHING: Final = {"type": "object"}


def mend_client(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`MCPClient`: ``call_enhanced_tool``, contexts with further arguments, and an end to its memory."""
    client = module.MCPClient
    if "call_enhanced_tool" not in vars(client):
        patches.set(client, "call_enhanced_tool", _calling_enhanced(module))
        report.mended.append(f"{module.__name__}.MCPClient.call_enhanced_tool")
    for name in ("create_context", "create_enhanced_context"):
        if name in vars(client):
            patches.wrap(client, name, _taking_anything)
            report.mended.append(f"{module.__name__}.MCPClient.{name}: takes further arguments as metadata")
    if "call_tool" in vars(client):
        patches.wrap(client, "call_tool", _forgetting)
        report.mended.append(f"{module.__name__}.MCPClient: keeps {_MAX_KEPT} requests and responses at most")


def mend_enhanced(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`EnhancedMCPIntegration`: ``initialize`` and ``register_tool``."""
    owner = module.EnhancedMCPIntegration

    async def initialize(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        return await self.initialize_enhanced_mcp()

    def register_tool(self: Any, tool: Any, *args: Any, **_kwargs: Any) -> bool:
        """A tool, or the name of one with or without a function that does its work."""
        client = getattr(self, "mcp_client", None)
        if client is None:
            return False
        if isinstance(tool, str):
            if client.get_tool(tool) is not None:
                return True
            handler = _awaited(next((each for each in args if callable(each)), None))
            tool = module.MCPTool(
                name=tool, description=tool.replace("_", " "), input_schema=_ANYTHING, output_schema=_ANYTHING,
                category="custom", handler=handler,
            )  # fmt: skip
        return bool(client.register_tool(tool))

    for name, method in (("initialize", initialize), ("register_tool", register_tool)):
        if name not in vars(owner):
            patches.set(owner, name, method)
            report.mended.append(f"{module.__name__}.EnhancedMCPIntegration.{name}")


def mend_optimizer(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """DocumentationAgent keeps an optimizer where it calls a monitor: it gets the monitor's recording methods."""
    owner = module.PerformanceOptimizer
    for name in ("_record_metric", "log_metric", "record_metric"):
        if not hasattr(owner, name):
            patches.set(owner, name, _of_monitor(name))
            report.mended.append(f"{module.__name__}.PerformanceOptimizer.{name}")


def mend_collector(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """BMAD's `MetricsCollector`: a Prometheus text with types and escaped labels, and all sets of labels."""

    def get_prometheus_format(self: Any) -> str:
        kept: list[Collected] = []
        for name, metrics in list(self.metrics.items()):
            if metrics:
                kind = Kind.TOTAL if metrics[-1].metric_type == "counter" else Kind.GAUGE
                kept.append(Collected(name, kind))
                for metric in list(metrics):
                    kept[-1].add(float(metric.value), labels_of(metric.labels), kind, metric.timestamp)
        return exposition(kept)

    patches.set(module.MetricsCollector, "get_prometheus_format", get_prometheus_format)
    report.mended.append(f"{module.__name__}.MetricsCollector.get_prometheus_format")


def mend_agent(agent: type, patches: Patches, report: BmadReport) -> None:
    """ProductOwner's handlers call a ``monitor`` the class never sets: it gets the process's."""
    if not hasattr(agent, "monitor"):
        patches.set(agent, "monitor", _Monitor())
        report.mended.append(f"{agent.__module__}.{agent.__name__}.monitor")


def mend_orchestrator(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """BMAD's orchestrator: alerts by level, and the metrics its command line asks for."""
    from bmad_otel.compat import orchestrator

    owner = module.IntegratedWorkflowOrchestrator

    def get_performance_alerts(_self: Any, agent_name: str | None = None, level: str | None = None) -> Any:
        return orchestrator.get_orchestrator().get_performance_alerts(agent_name, level)

    def get_agent_performance_metrics(_self: Any, agent_name: str) -> Any:
        return orchestrator.get_orchestrator().get_agent_performance_metrics(agent_name)

    patches.set(owner, "get_performance_alerts", get_performance_alerts)
    patches.set(owner, "get_agent_performance_metrics", get_agent_performance_metrics)
    report.mended.append(f"{module.__name__}: get_performance_alerts(level=), get_agent_performance_metrics")


def mend_metric_types(patches: Patches, report: BmadReport) -> None:
    """`MetricType`: members that agents use and no version of it has. What is recorded under one is a custom metric of
    that name."""
    from bmad_otel.monitor import MetricType

    for member in _Further:
        if not hasattr(MetricType, member.name):
            patches.set(MetricType, member.name, member)
            report.mended.append(f"MetricType.{member.name}")


class _Further(Enum):
    DEPLOYMENT_TIME = "deployment_time"
    QUALITY_SCORE = "quality_score"
    COUNTER = "counter"
    GAUGE = "gauge"


class _Monitor:
    """An attribute that is the process's monitor until an object has one of its own."""

    def __get__(self, _receiver: object, _owner: type | None = None) -> Any:
        return _monitor()


def _monitor() -> Any:
    from bmad_otel import monitor

    return monitor.get_performance_monitor()


def _of_monitor(name: str) -> Callable[..., None]:
    def record(_self: Any, *args: Any, **kwargs: Any) -> None:
        getattr(_monitor(), name)(*args, **kwargs)

    record.__name__ = name
    return record


def _calling_enhanced(module: ModuleType) -> Callable[..., Any]:
    async def call_enhanced_tool(self: Any, tool_name: str, parameters: dict[str, Any], context: Any = None) -> Any:
        """`call_tool`, whose response also says how long it took: ``execution_time`` in seconds.

        A tool without a handler fails: BMAD's client would return the arguments, and agents take them for an answer and
        leave their own work undone.
        """
        started_ns = time.perf_counter_ns()
        tool = self.get_tool(tool_name)
        if tool is not None and tool.handler is None:
            response = module.MCPResponse(
                request_id=str(uuid.uuid4()), success=False, error=f"{tool_name} has no handler: nothing does its work"
            )
        else:
            response = await self.call_tool(tool_name, parameters, context)
        response.execution_time = (time.perf_counter_ns() - started_ns) / 1e9
        return response

    return call_enhanced_tool


def _taking_anything(original: Callable[..., Any]) -> Callable[..., Any]:
    known = set(inspect.signature(original).parameters)

    async def create(self: Any, *args: Any, metadata: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        further = {name: kwargs.pop(name) for name in list(kwargs) if name not in known}
        if further:
            metadata = {**(metadata or {}), **further}
        if metadata is not None:
            kwargs["metadata"] = metadata
        context = await original(self, *args, **kwargs)
        _forget(self)
        return context

    return create


def _forgetting(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call_tool(self: Any, *args: Any, **kwargs: Any) -> Any:
        response = await original(self, *args, **kwargs)
        _forget(self)
        return response

    return call_tool


def _forget(client: Any) -> None:
    for name in ("contexts", "requests", "responses"):
        kept = getattr(client, name, None)
        if isinstance(kept, dict):
            while len(kept) > _MAX_KEPT:
                del kept[next(iter(kept))]


def _awaited(function: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """``function`` as the client calls handlers: awaited, with parameters and context."""
    if function is None:
        return None

    async def handler(parameters: Any, context: Any = None) -> Any:
        result = function(parameters, context)
        return await result if inspect.isawaitable(result) else result

    return handler
