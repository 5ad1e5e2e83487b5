"""Where things are in BMAD, and the names of what we say about them."""

from __future__ import annotations

from typing import Final

MONITOR: Final = "bmad.agents.core.agent.agent_performance_monitor"
MONITOR_AS_DOCUMENTED: Final = "bmad.agents.core.agent_performance_monitor"
ORCHESTRATOR_AS_DOCUMENTED: Final = "bmad.agents.core.integrated_workflow_orchestrator"
TRACER: Final = "integrations.opentelemetry.opentelemetry_tracing"
TRACING_SERVICE: Final = "bmad.core.tracing.tracing_service"
FILE_BUS: Final = "bmad.agents.core.communication.message_bus"
FILE_BUS_AGENTS: Final = "bmad.agents.core.communication.agent_message_bus_integration"
EVENT_BUS: Final = "bmad.core.message_bus.message_bus"
MCP_CLIENT: Final = "bmad.core.mcp.mcp_client"
ENHANCED_MCP: Final = "bmad.core.mcp.enhanced_mcp_integration"
WORKFLOWS: Final = "bmad.agents.core.workflow.integrated_workflow_orchestrator"
COLLECTOR: Final = "bmad.agents.core.monitoring.monitoring"
OPTIMIZER: Final = "bmad.agents.core.performance_optimizer"

AGENT_MODULES: Final = {
    "AccessibilityAgent": "accessibilityagent",
    "AiDeveloper": "aidev",
    "Architect": "architect",
    "BackendDeveloper": "backenddeveloper",
    "DataEngineer": "dataengineer",
    "DevOpsInfra": "devopsinfra",
    "DocumentationAgent": "documentationagent",
    "FeedbackAgent": "feedbackagent",
    "FrontendDeveloper": "frontenddeveloper",
    "FullstackDeveloper": "fullstackdeveloper",
    "MobileDeveloper": "mobiledeveloper",
    "Orchestrator": "orchestrator",
    "ProductOwner": "product_owner",
    "QualityGuardian": "qualityguardian",
    "ReleaseManager": "releasemanager",
    "Retrospective": "retrospective",
    "RnD": "rnd",
    "Scrummaster": "scrummaster",
    "SecurityDeveloper": "securitydeveloper",
    "StrategiePartner": "strategiepartner",
    "TestEngineer": "testengineer",
    "UXUIDesigner": "uxuidesigner",
    "WorkflowAutomator": "workflowautomator",
}
"""Module of each agent in its package ``bmad.agents.Agent.<agent>``."""


def agent_module(agent: str) -> str:
    """The full name of an agent's module."""
    return f"bmad.agents.Agent.{agent}.{AGENT_MODULES[agent]}"


# Attributes of the semantic conventions for messaging and MCP, and spans' names begin with the operation
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MCP_METHOD: Final = "mcp.method.name"

BUS_SYSTEM: Final = "bmad_bus"
BUS_SUBSCRIBERS: Final = "bmad.bus.subscribers"
"""On a ``send`` span: who listened. 0 tells of events published on one bus and awaited on another."""
TOOL_ECHOES: Final = "bmad.tool.echoes"
"""On a ``tools/call`` span: the tool has no handler, so BMAD returns its arguments."""

SCOPE: Final = "bmad_otel.compat"
"""Instrumentation scope of these spans."""
