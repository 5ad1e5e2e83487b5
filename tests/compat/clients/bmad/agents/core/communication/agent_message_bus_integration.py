"""How agents use the bus over the file: handlers run in tasks of their own, and cannot be unsubscribed."""

import asyncio

from bmad.agents.core.communication.message_bus import publish, subscribe, unsubscribe


class AgentMessageBusIntegration:
    def __init__(self, agent_name):
        self.agent_name = agent_name
        self.event_handlers = {}

    async def register_event_handler(self, event_type, handler):
        def started(event):
            asyncio.get_running_loop().create_task(handler(event))

        subscribe(event_type, started)
        self.event_handlers[event_type] = handler
        return True

    async def unregister_event_handler(self, event_type):
        unsubscribe(event_type, self.event_handlers.pop(event_type))
        return True

    async def publish_event(self, event_type, data):
        return publish(event_type, {"agent_name": self.agent_name, **data})
