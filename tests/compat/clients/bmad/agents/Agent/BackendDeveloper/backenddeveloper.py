"""An agent that blocks the event loop, constructed with a TracingConfig."""

import time

from integrations.opentelemetry.opentelemetry_tracing import BMADTracer, TracingConfig

from bmad.agents.core.agent.agent_performance_monitor import get_performance_monitor


class BackendDeveloperAgent:
    def __init__(self):
        self.agent_name = "BackendDeveloper"
        self.monitor = get_performance_monitor()
        self.tracer = BMADTracer(TracingConfig(service_name="backend"))

    async def build_api(self):
        time.sleep(0.2)
        return {"status": "built"}
