"""The agent that calls a monitor it does not have, and constructs its tracer with an object of its own."""

import sys

from integrations.opentelemetry.opentelemetry_tracing import BMADTracer

from bmad.agents.core.agent.agent_performance_monitor import MetricType


class ProductOwnerAgent:
    def __init__(self):
        self.agent_name = "ProductOwnerAgent"
        shape = type("Config", (), {"service_name": "ProductOwner", "sample_rate": 1.0, "exporters": []})
        self.tracer = BMADTracer(config=shape())

    async def initialize_tracing(self):
        await self.tracer.initialize()
        return await self.tracer.setup_product_tracing({"agent_name": self.agent_name})

    async def create_user_story(self, text):
        await self.tracer.trace_story_creation({"text": text})
        return {"story": text} if text else {"error": "a story needs text", "success": False}

    def handle_story_created(self, event):
        self.monitor._record_metric(self.agent_name, MetricType.SUCCESS_RATE, 95, "%")
        return True


async def main():
    story = await ProductOwnerAgent().create_user_story(sys.argv[1] if len(sys.argv) > 1 else "")
    sys.stdout.write(f"{story}\n")
    return 3
