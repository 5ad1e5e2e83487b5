"""The agent whose monitor is none, and whose tracer has only a name by keyword."""

from integrations.opentelemetry.opentelemetry_tracing import BMADTracer

from bmad.agents.core.agent.agent_performance_monitor import MetricType
from bmad.agents.core.performance_optimizer import PerformanceOptimizer


class DocumentationAgent:
    def __init__(self):
        self.agent_name = "DocumentationAgent"
        self.monitor = PerformanceOptimizer()
        self.tracer = BMADTracer(service_name="documentation")

    def create_user_guide(self, name):
        self.monitor._record_metric("DocumentationAgent", MetricType.SUCCESS_RATE, 94, "%")
        return {"guide": name}
