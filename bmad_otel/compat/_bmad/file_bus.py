"""BMAD's bus over a shared JSON file: functions of a module, and the class through which agents use them.

The context travels under the key ``otel`` of an event, beside its ``timestamp``, ``event`` and ``data``, so that a
process that polls the file finds it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from bmad_otel import _guard
from bmad_otel.compat._bmad import messages
from bmad_otel.compat._bmad.patches import CALLBACK, Patches
from bmad_otel.compat._bmad.report import BmadReport

CARRIER: Final = "otel"

_REGISTERING: Final[ContextVar[Callable[..., Any] | None]] = ContextVar("bmad_otel.registering", default=None)
"""The handler an agent registers: what the bus is given instead stands for it and gets no span of its own."""


def instrument_bus(module: ModuleType, patches: Patches, report: BmadReport, *, mend: bool) -> None:
    """``publish``, ``subscribe`` and ``unsubscribe``; names that other modules have bound before are replaced there."""
    replaced: dict[int, tuple[Any, Any]] = {}

    def wrap(name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]], *, tells: bool = True) -> None:
        if name not in vars(module):
            report.missing.append(f"{module.__name__}.{name}")
            return
        original, replacement = patches.wrap(module, name, make)
        replaced[id(original)] = (original, replacement)
        if tells:
            report.wrapped.append(f"{module.__name__}.{name}")

    wrap("publish", lambda original: _publishing(original, module))
    wrap("subscribe", lambda original: _subscribing(original, patches))
    wrap("unsubscribe", lambda original: _unsubscribing(original, module))
    wrap("safe_write_json", _writing, tells=False)
    if mend and callable(vars(module).get("file_lock")):
        # publishing from a handler locks the same file once more and waits for itself
        patches.set(module, "file_lock", _reentrant(vars(module)["file_lock"]))
        report.mended.append(f"{module.__name__}.file_lock: a handler may publish")
    patches.rebind(replaced)
    _consume_earlier(_subscribers(module), patches)


def instrument_agents(module: ModuleType, patches: Patches, report: BmadReport, *, mend: bool) -> None:
    """``register_event_handler`` of the class that agents use: their handlers run in tasks of their own."""
    owner = getattr(module, "AgentMessageBusIntegration", None)
    if owner is None or "register_event_handler" not in vars(owner):
        report.missing.append(f"{module.__name__}.AgentMessageBusIntegration.register_event_handler")
        return

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def register_event_handler(self: Any, event_type: str, handler: Callable[..., Any]) -> Any:
            given = _with_payload(handler, patches) if mend else handler
            consume = messages.consumer(given, str(event_type), patches, _carrier_of, getattr(self, "agent_name", None))
            token = _REGISTERING.set(handler)
            try:
                registered = await original(self, event_type, consume)
            finally:
                _REGISTERING.reset(token)
            handlers = getattr(self, "event_handlers", None)
            if isinstance(handlers, dict) and handlers.get(event_type) is consume:
                handlers[event_type] = handler
            return registered

        return register_event_handler

    patches.wrap(owner, "register_event_handler", make)
    report.wrapped.append(f"{module.__name__}.AgentMessageBusIntegration.register_event_handler")
    if mend:
        report.mended.append(f"{module.__name__}: handlers find an event's data at its top level as well")


def _publishing(original: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
    def publish(event: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        agent = data.get("agent_name") or data.get("agent") if isinstance(data, Mapping) else None
        listening = len(_subscribers(module).get(event, ()))
        with messages.sending(str(event), agent, listening) as (_, span):
            published = original(event, data, *args, **kwargs)
            if published is False:
                messages.refused(span, "publish returned False")
            return published

    return publish


def _writing(original: Callable[..., Any]) -> Callable[..., Any]:
    def safe_write_json(data: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            message = messages.SENDING.get()
            events = data.get("events") if isinstance(data, dict) else None
            if message is not None and message.is_open and message.carrier and events:
                newest = events[-1]
                if isinstance(newest, dict) and newest.get("event") == message.event:
                    newest.setdefault(CARRIER, dict(message.carrier))
        except Exception as error:  # noqa: BLE001 - the event is written as it is
            _guard.contain("adding the context to an event", error)
        return original(data, *args, **kwargs)

    return safe_write_json


def _subscribing(original: Callable[..., Any], patches: Patches) -> Callable[..., Any]:
    def subscribe(event_type: Any, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        handler = _REGISTERING.get()
        if handler is None:
            callback = messages.consumer(callback, str(event_type), patches, _carrier_of)
        else:
            with contextlib.suppress(AttributeError):
                setattr(callback, CALLBACK, handler)
        return original(event_type, callback, *args, **kwargs)

    return subscribe


def _unsubscribing(original: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
    def unsubscribe(event_type: Any, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for subscriber in _subscribers(module).get(event_type, ()):
            if messages.stands_for(subscriber, callback):
                callback = subscriber
                break
        return original(event_type, callback, *args, **kwargs)

    return unsubscribe


def _consume_earlier(subscribers: Mapping[Any, Any], patches: Patches) -> None:
    for event_type, callbacks in list(subscribers.items()):
        if isinstance(callbacks, list):
            callbacks[:] = [messages.consumer(each, str(event_type), patches, _carrier_of) for each in callbacks]

    def undo() -> None:
        for callbacks in list(subscribers.values()):
            if isinstance(callbacks, list):
                # agents' handlers keep what BMAD has put around them
                callbacks[:] = [
                    getattr(each, CALLBACK) if getattr(each, "__wrapped__", None) is getattr(each, CALLBACK, each)
                    else each
                    for each in callbacks
                ]  # fmt: skip

    patches.on_undo(undo)


def _subscribers(module: ModuleType) -> Mapping[Any, Any]:
    found = vars(module).get("_subscribers")
    return found if isinstance(found, Mapping) else {}


def _carrier_of(event: Any) -> Mapping[str, str] | None:
    found = event.get(CARRIER) if isinstance(event, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _with_payload(handler: Callable[..., Any], patches: Patches) -> Callable[..., Any]:
    """Agents read an event's data at its top level, where the bus does not put it."""

    async def handle(event: Any) -> Any:
        data = event.get("data") if isinstance(event, Mapping) else None
        return await handler({**data, **event} if patches.is_on and isinstance(data, Mapping) else event)

    return handle


def _reentrant(file_lock: Callable[..., Any]) -> Callable[..., Any]:
    held = threading.local()

    @contextlib.contextmanager
    def reentrant(path: Any, *args: Any, **kwargs: Any) -> Iterator[None]:
        mine: set[str] = held.__dict__.setdefault("paths", set())
        if str(path) in mine:
            yield
            return
        with file_lock(path, *args, **kwargs):
            mine.add(str(path))
            try:
                yield
            finally:
                mine.discard(str(path))

    return reentrant
