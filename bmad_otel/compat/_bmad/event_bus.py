"""BMAD's bus of `Event` objects, in this process and over Redis.

An event has no place for a context but its data, so it travels there under ``_otel`` and is taken out before any
handler sees the event: what handlers, history and file get is what the publisher gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from bmad_otel.compat._bmad import messages
from bmad_otel.compat._bmad.patches import CALLBACK, Patches
from bmad_otel.compat._bmad.report import BmadReport

CARRIER: Final = "_otel"

_INCOMING: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("bmad_otel.incoming", default=None)
_GIVEN: Final[ContextVar[tuple[dict[str, Any], dict[str, Any]] | None]] = ContextVar("bmad_otel.given", default=None)
"""What is published in the place of the data its publisher gave, and that data."""


def instrument(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`MessageBus`: ``publish``, ``subscribe``, ``unsubscribe`` and what calls the handlers."""
    bus = getattr(module, "MessageBus", None)
    if bus is None:
        report.missing.append(f"{module.__name__}.MessageBus")
        return
    for name, make in (
        ("publish", _publishing),
        ("subscribe", lambda original: _subscribing(original, patches)),
        ("unsubscribe", _unsubscribing),
        ("_notify_subscribers", _notifying),
    ):
        if name in vars(bus):
            patches.wrap(bus, name, make)
            report.wrapped.append(f"{module.__name__}.MessageBus.{name}")
        else:
            report.missing.append(f"{module.__name__}.MessageBus.{name}")
    _consume_earlier(getattr(vars(module).get("_message_bus"), "subscribers", None), patches)


def _publishing(original: Callable[..., Any]) -> Callable[..., Any]:
    async def publish(self: Any, event_type: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        agent = kwargs.get("source_agent") or (args[0] if args else None)
        listening = _subscribers(self).get(event_type, ())
        with messages.sending(str(event_type), agent, len(listening)) as (message, span):
            if not isinstance(data, dict) or not message.carrier:
                published = await original(self, event_type, data, *args, **kwargs)
            else:
                sent = {**data, CARRIER: dict(message.carrier)}
                token = _GIVEN.set((sent, data))
                try:
                    published = await original(self, event_type, sent, *args, **kwargs)
                finally:
                    _GIVEN.reset(token)
            if published is False:
                messages.refused(span, "publish returned False")
            return published

    return publish


def _notifying(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _notify_subscribers(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        data = getattr(event, "data", None)
        carrier = data.pop(CARRIER, None) if isinstance(data, dict) else None
        given = _GIVEN.get()
        if given is not None and data is given[0]:
            event.data = given[1]
        token = _INCOMING.set(carrier if isinstance(carrier, Mapping) else None)
        try:
            return await original(self, event, *args, **kwargs)
        finally:
            _INCOMING.reset(token)

    return _notify_subscribers


def _subscribing(original: Callable[..., Any], patches: Patches) -> Callable[..., Any]:
    async def subscribe(self: Any, event_type: Any, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        consume = messages.consumer(callback, str(event_type), patches, _carrier_of)
        return await original(self, event_type, consume, *args, **kwargs)

    return subscribe


def _unsubscribing(original: Callable[..., Any]) -> Callable[..., Any]:
    async def unsubscribe(self: Any, event_type: Any, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for subscriber in _subscribers(self).get(event_type, ()):
            if messages.stands_for(subscriber, callback):
                callback = subscriber
                break
        return await original(self, event_type, callback, *args, **kwargs)

    return unsubscribe


def _consume_earlier(subscribers: Any, patches: Patches) -> None:
    if not isinstance(subscribers, dict):
        return
    for event_type, callbacks in subscribers.items():
        callbacks[:] = [messages.consumer(each, str(event_type), patches, _carrier_of) for each in callbacks]

    def undo() -> None:
        for callbacks in subscribers.values():
            callbacks[:] = [getattr(each, CALLBACK, each) for each in callbacks]

    patches.on_undo(undo)


def _subscribers(bus: Any) -> Mapping[Any, Any]:
    found = getattr(bus, "subscribers", None)
    return found if isinstance(found, Mapping) else {}


def _carrier_of(_event: Any) -> Mapping[str, str] | None:
    return _INCOMING.get()
