"""`instrument_bmad` as a whole: modules, agents, workflows, providers, and everything put back."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import bmad_otel.compat.bmad
import bmad_otel.compat.orchestrator
import bmad_otel.compat.tracing
from bmad_otel.compat.instrument import instrument_bmad, uninstrument_bmad
from bmad_otel.monitor import PerformanceMonitor
from bmad_otel.testing import Telemetry
from tests.compat.conftest import CLIENTS, named
from tests.sdk.receivers import GrpcReceiver

pytestmark = pytest.mark.usefixtures("bmad")

MONITOR = "bmad.agents.core.agent.agent_performance_monitor"
WORKFLOWS = "bmad.agents.core.workflow.integrated_workflow_orchestrator"


def agent(name: str, module: str) -> Any:
    loaded = importlib.import_module(f"bmad.agents.Agent.{name}.{module}")
    return next(value for key, value in vars(loaded).items() if key in (name, f"{name}Agent"))


@pytest.mark.parametrize("bmad_first", [False, True])
def test_imports_find_our_monitor(bmad_first: bool) -> None:
    original = importlib.import_module(MONITOR) if bmad_first else None
    backend = importlib.import_module("bmad.agents.Agent.BackendDeveloper.backenddeveloper") if bmad_first else None
    report = instrument_bmad(set_up=False)
    assert instrument_bmad(mend=True) is report  # a second call changes nothing
    ours = bmad_otel.compat.bmad
    assert importlib.import_module(MONITOR) is ours
    package = importlib.import_module("bmad.agents.core.agent")
    assert package.agent_performance_monitor is ours
    assert package.get_performance_monitor is ours.get_performance_monitor
    assert importlib.import_module("bmad.agents.core.agent_performance_monitor") is ours
    documented = importlib.import_module("bmad.agents.core.integrated_workflow_orchestrator")
    assert documented.get_orchestrator is bmad_otel.compat.orchestrator.get_orchestrator
    made = agent("BackendDeveloper", "backenddeveloper")()
    assert isinstance(made.monitor, PerformanceMonitor)
    assert isinstance(made.tracer, bmad_otel.compat.tracing.BMADTracer)
    if backend is not None:
        assert backend.get_performance_monitor is ours.get_performance_monitor
    uninstrument_bmad()
    real = importlib.import_module(MONITOR)
    assert real is not ours
    assert original in (None, real)
    assert package.agent_performance_monitor is real
    assert package.get_performance_monitor is real.get_performance_monitor
    assert type(agent("BackendDeveloper", "backenddeveloper")().monitor).__module__ != "bmad_otel.monitor._monitor"


def test_agents_of_every_shape_work_and_are_traced(bmad_telemetry: Telemetry) -> None:
    report = instrument_bmad(set_up=False)
    owner = agent("ProductOwner", "product_owner")()
    assert asyncio.run(owner.initialize_tracing()) is True  # plumbing, no task
    assert asyncio.run(owner.create_user_story("as a user")) == {"story": "as a user"}
    asyncio.run(owner.create_user_story(""))
    assert agent("Architect", "architect")().review() == {"reviewed": True}
    assert bmad_telemetry.tree() == (
        "invoke_agent ProductOwner (create_user_story): ok\n"
        "invoke_agent ProductOwner (create_user_story): error task_error\n"
        "invoke_agent Architect (review): ok\n"
        "  review"
    )
    assert bmad_telemetry.tasks("ProductOwner")[1].status_message == "a story needs text"
    assert report.agents == {"ProductOwner": 2, "Architect": 2}
    assert "bmad.agents.Agent.RnD.rnd" in report.waiting
    assert report.failed == {}
    assert "ProductOwner (2 methods)" in str(report)


def test_a_coroutine_that_blocks_the_loop_is_seen(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    asyncio.run(agent("BackendDeveloper", "backenddeveloper")().build_api())
    lag = bmad_telemetry.histogram("bmad.agent.event_loop.lag", agent="BackendDeveloper")
    assert lag.count == 1
    assert lag.sum >= 0.19


def test_which_methods_are_tasks_can_be_said(bmad_telemetry: Telemetry) -> None:
    report = instrument_bmad(set_up=False, include=["create_*", "no_such_method"], exclude=(), detect_error_dicts=False)
    owner = agent("ProductOwner", "product_owner")()
    asyncio.run(owner.create_user_story(""))
    assert bmad_telemetry.task("ProductOwner").outcome == "ok"
    assert report.agents == {"ProductOwner": 1}


def test_agents_that_call_what_they_do_not_have(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    with pytest.raises(AttributeError):
        agent("ProductOwner", "product_owner")().handle_story_created({})
    with pytest.raises(AttributeError):
        agent("DocumentationAgent", "documentationagent")().create_user_guide("x")
    assert [task.outcome for task in bmad_telemetry.tasks()] == ["error", "error"]
    uninstrument_bmad()
    report = instrument_bmad(set_up=False, mend=True)
    owner = agent("ProductOwner", "product_owner")
    assert owner().handle_story_created({}) is True
    assert agent("DocumentationAgent", "documentationagent")().create_user_guide("x") == {"guide": "x"}
    assert any("PerformanceOptimizer._record_metric" in line for line in report.mended)
    uninstrument_bmad()
    assert not hasattr(owner, "monitor")


def test_agents_that_use_metric_types_there_are_not(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    assert agent("Architect", "architect")().collect() == {"error": "COUNTER"}
    uninstrument_bmad()
    instrument_bmad(set_up=False, mend=True)
    assert agent("Architect", "architect")().collect() == {"collected": True}
    points = bmad_telemetry.metrics["bmad.agent.custom"]
    assert [(p.attributes["bmad.metric.name"], p.attributes["gen_ai.agent.name"], p.value) for p in points] == [
        ("templates_collected", "Architect", 2)
    ]
    uninstrument_bmad()
    assert not hasattr(bmad_otel.compat.bmad.MetricType, "COUNTER")


def test_bmad_s_own_collector_has_a_prometheus_text_when_mended() -> None:
    instrument_bmad(set_up=False, mend=True)
    collector = importlib.import_module("bmad.agents.core.monitoring.monitoring").MetricsCollector()
    assert collector.get_prometheus_format() == ""
    collector.record_metric("runs", 1, {"agent": 'the "one"'}, "counter")
    collector.record_metric("runs", 2, {"agent": 'the "one"'}, "counter")
    collector.record_metric("runs", 5, {"agent": "two"}, "counter")
    assert collector.get_prometheus_format() == (
        "# HELP runs runs, a counter recorded by the program.\n"
        "# TYPE runs counter\n"
        'runs{agent="the \\"one\\""} 2\n'
        'runs{agent="two"} 5\n'
    )
    uninstrument_bmad()
    assert collector.get_prometheus_format() == "runs 5"


def test_a_workflow_is_one_trace_of_its_agents_tasks(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    orchestrator = importlib.import_module(WORKFLOWS).IntegratedWorkflowOrchestrator()
    result = asyncio.run(orchestrator.execute_integrated_workflow("product-development"))
    assert result.status.value == "completed"
    assert bmad_telemetry.tree() == (
        "invoke_workflow product-development: ok\n"
        "  invoke_agent ProductOwner (create-story): ok\n"
        "    task.create-story\n"
        "  invoke_agent Architect (design): ok\n"
        "    task.design-system\n"
        "  invoke_agent TestEngineer (run-tests): ok\n"
        "    task.run-tests"
    )
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="ProductOwner").count == 1
    task = bmad_telemetry.task("ProductOwner")
    assert task.attributes["bmad.task.id"] == "product-development_1_create-story"
    assert task.attributes["bmad.workflow.id"] == "product-development_1"


def test_a_denied_or_failed_task_ends(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    for trouble, message in (("denied", "Policy violation: denied"), ("failing", "design-system cannot be done")):
        bmad_telemetry.clear()
        orchestrator = importlib.import_module(WORKFLOWS).IntegratedWorkflowOrchestrator()
        getattr(orchestrator, trouble).add("design-system")
        asyncio.run(orchestrator.execute_integrated_workflow("product-development"))
        assert bmad_telemetry.task("Architect").outcome == "error"
        assert bmad_telemetry.task("Architect").status_message == message
        assert bmad_telemetry.task(task="product-development").outcome == "error"
        assert bmad_telemetry.value("bmad.agent.task.active", agent="Architect") == 0
        assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Architect").count >= 1
        assert orchestrator.performance_monitor.alerts is not None  # all but tracking is the monitor's


def test_an_orchestrator_made_meanwhile_is_tracked_by_its_monitor_afterwards(bmad_telemetry: Telemetry) -> None:
    instrument_bmad(set_up=False)
    orchestrator = importlib.import_module(WORKFLOWS).IntegratedWorkflowOrchestrator()
    asyncio.run(orchestrator.execute_integrated_workflow("product-development"))
    uninstrument_bmad()
    bmad_telemetry.clear()
    asyncio.run(orchestrator.execute_integrated_workflow("product-development"))
    assert [task.agent for task in bmad_telemetry.tasks()] == ["ProductOwner", "Architect", "TestEngineer"]
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="ProductOwner").count >= 1
    assert "invoke_workflow" not in bmad_telemetry.tree()


def test_wrong_arguments_are_refused_before_anything_is_changed() -> None:
    for wrong in ({"include": "create_*"}, {"exclude": [7]}, {"endpoint": "nowhere", "set_up": True}):
        with pytest.raises((TypeError, ValueError)):
            instrument_bmad(**{"set_up": False, **wrong})
    assert importlib.import_module(MONITOR) is not bmad_otel.compat.bmad


def test_coroutine_functions_stay_what_they_are() -> None:
    instrument_bmad(set_up=False)
    module = importlib.import_module(WORKFLOWS)
    assert inspect.iscoroutinefunction(module.IntegratedWorkflowOrchestrator.execute_integrated_workflow)
    bus = importlib.import_module("bmad.core.message_bus.message_bus").MessageBus
    assert all(inspect.iscoroutinefunction(getattr(bus, name)) for name in ("publish", "subscribe", "unsubscribe"))


def test_a_bmad_of_another_version_is_left_as_it_is(bmad_telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    client = importlib.import_module("bmad.core.mcp.mcp_client")
    monkeypatch.delattr(client.MCPClient, "call_tool")
    enhanced = importlib.import_module("bmad.core.mcp.enhanced_mcp_integration")
    monkeypatch.delattr(enhanced, "EnhancedMCPIntegration")
    bus = importlib.import_module("bmad.agents.core.communication.message_bus")
    monkeypatch.delattr(bus, "unsubscribe")
    owner = importlib.import_module("bmad.agents.Agent.ProductOwner.product_owner")
    monkeypatch.delattr(owner, "ProductOwnerAgent")
    report = instrument_bmad(set_up=False)
    assert report.missing == [
        "bmad.agents.core.communication.message_bus.unsubscribe",
        "bmad.core.mcp.mcp_client.MCPClient.call_tool",
        "bmad.core.mcp.enhanced_mcp_integration.EnhancedMCPIntegration.use_enhanced_mcp_tool",
        "bmad.agents.Agent.ProductOwner.product_owner: the class of ProductOwner",
    ]
    assert bus.publish("still", {}) is True
    assert [span.name for span in bmad_telemetry.spans] == ["send still"]


def test_what_cannot_be_mended_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")
    optimizer = importlib.import_module("bmad.agents.core.performance_optimizer")
    monkeypatch.delattr(optimizer, "PerformanceOptimizer")
    report = instrument_bmad(set_up=False, mend=True)
    assert "PerformanceOptimizer" in report.failed["bmad.agents.core.performance_optimizer"]


def test_bmad_s_own_tracer_finds_our_provider_and_its_spans_arrive(ended: list[ReadableSpan]) -> None:
    instrument_bmad(set_up=False, tracer=False, agents=False)
    tracing = importlib.import_module("integrations.opentelemetry.opentelemetry_tracing")
    assert tracing.__name__ == "integrations.opentelemetry.opentelemetry_tracing"
    tracer = tracing.BMADTracer(tracing.TracingConfig())
    with tracer.start_span("its own"):
        pass
    assert named(ended, "its own")


@pytest.mark.parametrize("bmad_first", [False, True])
def test_spans_arrive_whoever_was_first(run_python: Callable[..., CompletedProcess[str]], bmad_first: bool) -> None:
    with GrpcReceiver() as received:
        own = "from integrations.opentelemetry.opentelemetry_tracing import BMADTracer, TracingConfig"
        make = "tracer = BMADTracer(TracingConfig())"
        done = run_python(
            f"""
            import sys
            sys.path.insert(0, {str(CLIENTS)!r})
            from bmad_otel import shutdown
            from bmad_otel.compat.instrument import instrument_bmad
            {f"{own}; {make}" if bmad_first else ""}
            print(instrument_bmad(tracer=False, endpoint="{received.endpoint}").provider)
            {"" if bmad_first else f"{own}; {make}"}
            with tracer.start_span("its own"):
                pass
            shutdown(5)
            """
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("the program's, with an exporter of ours" if bmad_first else "ours")
    assert [span.name for span in received.spans()] == ["its own"]


def test_a_stand_in_for_the_jaeger_exporter_is_there_only_while_it_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    name = "opentelemetry.exporter.jaeger.thrift"
    assert name not in sys.modules
    report = instrument_bmad(set_up=False)  # BMAD's tracer is replaced: nobody imports it
    assert name not in report.replaced
    uninstrument_bmad()
    report = instrument_bmad(set_up=False, tracer=False)
    assert name in report.replaced
    exporter = importlib.import_module(name).JaegerExporter(agent_host_name="localhost", agent_port=6831)
    assert exporter.export([]).name == "FAILURE"
    exporter.shutdown()
    uninstrument_bmad()
    assert name not in sys.modules
    with pytest.raises(ImportError):
        importlib.import_module(name)
