"""The agent whose tracer has only a bare name, and that calls the monitor in the wrong order."""

from integrations.opentelemetry.opentelemetry_tracing import BMADTracer

from bmad.agents.core.agent.agent_performance_monitor import MetricType, get_performance_monitor


class ArchitectAgent:
    def __init__(self):
        self.agent_name = "ArchitectAgent"
        self.monitor = get_performance_monitor()
        self.tracer = BMADTracer("ArchitectAgent")

    def review(self):
        self.monitor.record_metric(MetricType.SUCCESS_RATE, "reviews_done", 1, {"kind": "design"})
        self.monitor._record_metric("Architect", MetricType.SUCCESS_RATE, 95, {"unit": "%"})
        self.monitor.log_metric("review", {"files": 3})
        span = self.tracer.start_span("review")
        span.set_attribute("files", ["a", "b"])
        span.end()
        return {"reviewed": True}

    def collect(self):
        try:
            self.monitor.record_metric(MetricType.COUNTER, "templates_collected", 2, {"template": "api"})
        except Exception as error:
            return {"error": str(error)}
        return {"collected": True}
