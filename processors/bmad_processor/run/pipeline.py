"""The way of one request: decode, ask for room, pass on, step the engine, acknowledge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from bmad_processor.agent_names import is_cleaned
from bmad_processor.decode import Decoded, Decoder
from bmad_processor.emit.request import Exporter, ExportRequest
from bmad_processor.errors import Overloaded, Unserved
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted

from .host import EngineHost

_RETRY_AFTER_S: Final = 5.0
"""Long enough for a queue to drain, short enough that SDKs (which give up after about 60 s) try several times."""


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to one signal of one receiver: all of its pipelines taken together."""

    uses_engine: bool
    exporters: tuple[Exporter, ...]


class Intake:
    """What all receivers of a collector share: one decoder with its caches, one lock, the counters."""

    def __init__(self, host: EngineHost | None, *, interval_ns: int) -> None:
        self.host = host
        self._decoder = Decoder(interval_ns=interval_ns)
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {}

    def decode(self, signal: Signal, body: bytes) -> Decoded:
        """Raises Malformed; counts what came."""
        with self._lock:  # the caches are shared; decoding holds the interpreter lock anyway
            return self._decoder.decode(signal, body)

    def count(self, name: str, n: int) -> None:
        """Adds to a counter; names are fixed in `Pipeline`."""
        if n:
            with self._lock:
                self._counters[name] = self._counters.get(name, 0) + n

    def counters(self) -> dict[str, int]:
        """A copy, in order of names."""
        with self._lock:
            return dict(sorted(self._counters.items()))


class Pipeline:
    """The consumer of one receiver. Thread-safe.

    Counters: ``accepted_<signal>`` items taken; ``rejected_<signal>`` answered as partial success;
    ``refused_requests_full`` and ``refused_requests_malformed``; ``unused_<reason>`` items that were forwarded but say
    nothing to the engine; ``cleaned_agent_names`` samples whose agent's name was too long or not printable.
    """

    def __init__(self, routes: Mapping[Signal, Route], intake: Intake, *, clock: Callable[[], int]) -> None:
        self._routes = dict(routes)
        self._intake = intake
        self._clock = clock
        self.may_wait = any(getattr(e, "may_wait", False) for route in self._routes.values() for e in route.exporters)

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """Raises Malformed, Overloaded or Unserved; then nothing of the request was used."""
        route = self._routes.get(signal)
        if route is None:
            raise Unserved(f"no pipeline takes {signal} from this receiver")
        intake = self._intake
        try:
            decoded = intake.decode(signal, body)
        except Exception:
            intake.count("refused_requests_malformed", 1)
            raise
        accepted = Accepted(decoded.rejected, decoded.message) if decoded.message else _ALL
        if not decoded.items:
            intake.count(f"rejected_{signal}", decoded.rejected)
            return accepted  # an empty envelope is a success and not worth forwarding
        self._forward(route, ExportRequest(signal, decoded.forward, decoded.items))
        if route.uses_engine and intake.host is not None and decoded.samples:
            intake.host.take(self._clock(), decoded.samples)
        intake.count(f"accepted_{signal}", decoded.items)
        intake.count(f"rejected_{signal}", decoded.rejected)
        intake.count("cleaned_agent_names", sum([is_cleaned(sample.key.name) for sample in decoded.samples]))
        for reason, n in decoded.dropped.items():
            intake.count(f"unused_{reason}", n)
        return accepted

    def _forward(self, route: Route, request: ExportRequest) -> None:
        """Into every exporter's queue, or Overloaded.

        All are asked for room first, so that a refusal leaves nothing half-passed-on. Should a queue fill up between,
        the request is refused all the same: sent again, another exporter may get it twice, but none loses it.
        """
        size = len(request.body)
        for exporter in route.exporters:
            if not exporter.has_room(size):
                self._refuse(exporter)
        for exporter in route.exporters:
            if not exporter.offer(request):
                self._refuse(exporter)

    def _refuse(self, exporter: Exporter) -> NoReturn:
        self._intake.count("refused_requests_full", 1)
        raise Overloaded(f"the queue of exporter {exporter.name} is full", retry_after_s=_RETRY_AFTER_S)


_ALL: Final = Accepted()


def build_routes(
    pipelines: Iterable[tuple[Signal, bool, tuple[Exporter, ...]]],
) -> dict[Signal, Route]:
    """Joins the pipelines of one receiver per signal; an exporter that several name gets a request once."""
    routes: dict[Signal, Route] = {}
    for signal, uses_engine, exporters in pipelines:
        before = routes.get(signal, Route(False, ()))
        joined = tuple(dict.fromkeys((*before.exporters, *exporters)))
        routes[signal] = Route(before.uses_engine or uses_engine, joined)
    return routes
