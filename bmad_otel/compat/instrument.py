"""`instrument_bmad`: a BMAD that is used as it is reports to OpenTelemetry.

    from bmad_otel.compat.instrument import instrument_bmad
    instrument_bmad()

    from bmad.agents.Agent.ProductOwner.product_owner import ProductOwnerAgent   # as before

Best called before BMAD is imported, but it may come later. Not one file of BMAD is changed: modules and methods are
replaced in this process, and `uninstrument_bmad` puts all of it back. What of BMAD is not there, or of another version,
is left out and said in the `BmadReport`.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from types import ModuleType
from typing import Any, Final

from opentelemetry import trace

from bmad_otel import _configure, _guard, configure, instrument_agent
from bmad_otel._instruments import is_placeholder
from bmad_otel.compat._bmad import agents as agents_of_bmad
from bmad_otel.compat._bmad import event_bus, file_bus, jaeger, mending, names, tools
from bmad_otel.compat._bmad import workflows as workflows_of_bmad
from bmad_otel.compat._bmad.agents import PLUMBING
from bmad_otel.compat._bmad.late import when_imported
from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport

__all__ = ["PLUMBING", "BmadReport", "instrument_bmad", "uninstrument_bmad"]

_DEFAULT_ENDPOINT: Final = "http://localhost:4317"

_BMAD_RESOURCE: Final = "service.environment"
"""An attribute only BMAD's own tracer provider has: the conventions call it ``deployment.environment.name``."""

_SWAPPED: Final = {
    "monitor": (
        (names.MONITOR, "bmad_otel.compat.bmad"),
        (names.MONITOR_AS_DOCUMENTED, "bmad_otel.compat.bmad"),
        (names.ORCHESTRATOR_AS_DOCUMENTED, "bmad_otel.compat.orchestrator"),
    ),
    "tracer": (
        (names.TRACER, "bmad_otel.compat.tracing"),
        (names.TRACING_SERVICE, "bmad_otel.compat.tracing_service"),
    ),
}


class _Process:
    """What is instrumented in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.patches: Patches | None = None
        self.report = BmadReport()


_process: Final = _Process()


def instrument_bmad(
    *,
    monitor: bool = True,
    tracer: bool = True,
    agents: bool = True,
    buses: bool = True,
    tool_calls: bool = True,
    workflows: bool = True,
    mend: bool = False,
    detect_error_dicts: bool = True,
    include: Iterable[str] = ("*",),
    exclude: Iterable[str] = PLUMBING,
    service_name: str | None = None,
    endpoint: str | None = None,
    set_up: bool = True,
    jaeger_placeholder: bool = True,
) -> BmadReport:
    """Instrument BMAD, now and as its modules are imported. A second call changes nothing and returns the same report.

    ``monitor``: BMAD's performance monitor is `bmad_otel.compat.bmad`, also under the paths its documentation names.
    ``tracer``: BMADTracer and TracingService are `bmad_otel.compat.tracing` and `bmad_otel.compat.tracing_service`.
    ``agents``: the public methods of the 23 agents are tasks; ``include`` and ``exclude`` as `instrument_agent` has
    them, by default without `PLUMBING`. ``detect_error_dicts``: a returned dict with an ``error`` is a failure.
    ``buses``: ``send`` and ``process`` spans for events, whose context travels along.
    ``tool_calls``: ``tools/call`` spans for BMAD's own kind of MCP.
    ``workflows``: a run is one trace, with a task for each of its steps.
    ``mend``: also give BMAD what its agents call and it does not have (see the documentation).
    ``set_up``: call `bmad_otel.configure` with ``service_name`` and ``endpoint``. Where BMAD came first and has set a
    tracer provider of its own, that one gets a further exporter; one of the program only if ``endpoint`` is given.
    ``jaeger_placeholder``: without ``tracer``, a stand-in for the Jaeger exporter where it cannot be imported.

    Raises TypeError or ValueError for an argument as `configure` and `instrument_agent` do, before anything is changed.
    """
    with _process.lock:
        if _process.patches is not None:
            return _process.report
        include, exclude = (each if isinstance(each, str) else tuple(each) for each in (include, exclude))
        instrument_agent(include=include, exclude=exclude)  # refuses what it cannot understand
        report = BmadReport(provider=_set_up(service_name, endpoint) if set_up else _present())
        patches = Patches()
        told: dict[str, Any] = {"patches": patches, "report": report}
        if not tracer and jaeger_placeholder and jaeger.put_in_place(patches):
            report.replaced.append(jaeger.MODULE)
        for is_wanted, kind in ((monitor, "monitor"), (tracer, "tracer")):
            if is_wanted:
                _swap(kind, patches, report)
        if monitor and mend:
            mending.mend_metric_types(patches, report)
        steps: list[tuple[bool, str, Callable[..., None]]] = [
            (buses, names.FILE_BUS, partial(file_bus.instrument_bus, mend=mend)),
            (buses, names.FILE_BUS_AGENTS, partial(file_bus.instrument_agents, mend=mend)),
            (buses, names.EVENT_BUS, event_bus.instrument),
            # mended first: what is mended is called through the span around it
            (mend, names.MCP_CLIENT, mending.mend_client),
            (mend, names.ENHANCED_MCP, mending.mend_enhanced),
            (tool_calls, names.MCP_CLIENT, tools.instrument_client),
            (tool_calls, names.ENHANCED_MCP, tools.instrument_enhanced),
            (workflows, names.WORKFLOWS, workflows_of_bmad.instrument),
            (mend, names.WORKFLOWS, mending.mend_orchestrator),
            (mend, names.OPTIMIZER, mending.mend_optimizer),
            (mend, names.COLLECTOR, mending.mend_collector),
        ]
        for is_wanted, name, step in steps:
            if is_wanted:
                when_imported(name, patches, report, partial(step, **told))
        if agents or mend:
            rules = agents_of_bmad.Rules(tuple(include), tuple(exclude), detect_error_dicts) if agents else None
            for agent in names.AGENT_MODULES:
                when_imported(names.agent_module(agent), patches, report, partial(_agent, agent, rules, mend, **told))
        _process.patches, _process.report = patches, report
        return report


def uninstrument_bmad() -> None:
    """Put back what `instrument_bmad` has replaced. Objects made meanwhile keep their class; `configure` stays in
    force. Does nothing when BMAD is not instrumented."""
    with _process.lock:
        patches, _process.patches = _process.patches, None
        if patches is not None:
            patches.undo()


def _swap(kind: str, patches: Patches, report: BmadReport) -> None:
    for name, ours in _SWAPPED[kind]:
        try:
            module = importlib.import_module(ours)
            patches.swap_module(name, module)
            report.replaced.append(name)
            package, _, attribute = name.rpartition(".")
            if package not in sys.modules:
                when_imported(package, patches, None, partial(patches.set, name=attribute, value=module))
        except Exception as error:  # noqa: BLE001 - whatever is wrong there, the rest is instrumented
            report.failed[name] = f"{type(error).__name__}: {error}"
            _guard.contain(f"replacing {name}", error)


def _agent(
    agent: str,
    rules: agents_of_bmad.Rules | None,
    mend: bool,
    module: ModuleType,
    *,
    patches: Patches,
    report: BmadReport,
) -> None:
    cls = agents_of_bmad.agent_class(module, agent)
    if cls is None:
        report.missing.append(f"{module.__name__}: the class of {agent}")
        return
    if mend:
        mending.mend_agent(cls, patches, report)
    if rules is not None:
        agents_of_bmad.instrument(cls, agent, rules, patches, report)


def _set_up(service_name: str | None, endpoint: str | None) -> str:
    """Have providers; where spans go from now on."""
    present = trace.get_tracer_provider()
    if is_placeholder(present):
        configure(service_name=service_name, endpoint=endpoint)
        return _present()
    attributes = getattr(getattr(present, "resource", None), "attributes", {})
    if endpoint is None and _BMAD_RESOURCE in attributes and _configure.settings_in_force() is None:
        endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _DEFAULT_ENDPOINT
    configure(service_name=service_name, endpoint=endpoint)
    return "the program's" if endpoint is None else "the program's, with an exporter of ours"


def _present() -> str:
    if is_placeholder(trace.get_tracer_provider()):
        return "none"
    return "ours" if _configure.settings_in_force() is not None else "the program's"
