"""A bus of Event objects."""

import inspect
from dataclasses import asdict, dataclass


@dataclass
class Event:
    event_type: str
    data: dict
    source_agent: str
    correlation_id: str | None = None


class MessageBus:
    def __init__(self):
        self.subscribers = {}
        self.event_history = []
        self.on_the_wire = []

    async def publish(self, event_type, data, source_agent="unknown", correlation_id=None):
        event = Event(event_type, data, source_agent, correlation_id)
        self.event_history.append(event)
        self.on_the_wire.append(asdict(event))
        await self._notify_subscribers(event)
        return True

    async def subscribe(self, event_type, callback):
        self.subscribers.setdefault(event_type, []).append(callback)
        return True

    async def unsubscribe(self, event_type, callback):
        if callback not in self.subscribers.get(event_type, []):
            return False
        self.subscribers[event_type].remove(callback)
        return True

    async def received(self, wire):
        await self._notify_subscribers(Event(**wire))

    async def _notify_subscribers(self, event):
        for callback in self.subscribers.get(event.event_type, []):
            if inspect.iscoroutinefunction(callback):
                await callback(event)
            else:
                callback(event)


_message_bus = None


def get_message_bus():
    global _message_bus
    if _message_bus is None:
        _message_bus = MessageBus()
    return _message_bus


async def publish_event(event_type, data, source_agent="unknown"):
    return await get_message_bus().publish(event_type, data, source_agent)
