"""The way of one request: decode, ask for room, pass on, keep for the engine, acknowledge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from bmad_processor.decode import Decoded
from bmad_processor.emit.request import Exporter, ExportRequest
from bmad_processor.errors import Malformed, Overloaded, Unserved
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted

from .intake import Intake

_RETRY_AFTER_S: Final = 5.0
"""Long enough for a queue to drain, short enough that SDKs (which give up after about 60 s) try several times."""


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to one signal of one receiver: all of its pipelines taken together."""

    uses_engine: bool
    exporters: tuple[Exporter, ...]
    may_wait: bool = field(init=False)
    """Whether passing a request on may block for a disk."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "may_wait", any(getattr(e, "may_wait", False) for e in self.exporters))


class Pipeline:
    """The consumer of one receiver and protocol. Thread-safe.

    Counters, alone of `counters` and together with all others of `Intake.counters`: ``accepted_<signal>`` items taken;
    ``rejected_<signal>`` answered as partial success; ``refused_<signal>`` the sender was told to send again;
    ``failed_<signal>`` lost to an internal error; ``refused_requests_full`` and ``refused_requests_malformed``;
    ``unused_<reason>`` items that were forwarded but say nothing to the engine.
    """

    def __init__(self, routes: Mapping[Signal, Route], intake: Intake) -> None:
        self._intake = intake
        self._counters: dict[str, int] = {}
        self.reroute(routes)

    def reroute(self, routes: Mapping[Signal, Route]) -> None:
        """Other routes from now on. Called while no request is inside."""
        self._routes = dict(routes)
        self.may_wait = any(route.may_wait for route in self._routes.values())

    def counters(self) -> dict[str, int]:
        """A copy, in order of names."""
        with self._intake.lock:
            return dict(sorted(self._counters.items()))

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """Raises Malformed, Overloaded or Unserved; then nothing of the request was used."""
        route = self._routes.get(signal)
        if route is None:
            raise Unserved(f"no pipeline takes {signal} from this receiver")
        intake = self._intake
        aside = route.may_wait
        with intake.lock:
            try:
                decoded = intake.decoder.collect(signal, body, aside=aside)
            except Malformed:
                self._count("refused_requests_malformed", 1)
                raise
            if not aside:  # asked for room and taken at once, so that nothing comes between
                try:
                    self._forward(route, signal, decoded)
                except BaseException:
                    intake.decoder.undo()
                    raise
                self._take(route, signal, decoded)
        if aside:
            self._forward(route, signal, decoded)
            with intake.lock:
                self._take(route, signal, decoded)
        if route.uses_engine:
            intake.held(at_once=bool(decoded.samples))
        return Accepted(decoded.rejected, decoded.message) if decoded.message else _ALL

    def _forward(self, route: Route, signal: Signal, decoded: Decoded) -> None:
        """Into every exporter's queue, or Overloaded.

        All are asked for room first, so that a refusal leaves nothing half-passed-on. Should a queue fill up between,
        the request is refused all the same: sent again, another exporter may get it twice, but none loses it.
        """
        if not decoded.items:
            return  # an empty envelope is a success and not worth forwarding
        request = ExportRequest(signal, decoded.forward, decoded.items)
        exporters = route.exporters
        try:
            if len(exporters) > 1:
                size = len(request.body)
                for exporter in exporters:
                    if not exporter.has_room(size):
                        raise _full(exporter)
            for exporter in exporters:
                if not exporter.offer(request):
                    raise _full(exporter)
        except Overloaded:
            self._count_outside(route, refused_requests_full=1, **{f"refused_{signal}": decoded.items})
            raise
        except Exception:
            self._count_outside(route, **{f"failed_{signal}": decoded.items})
            raise

    def _take(self, route: Route, signal: Signal, decoded: Decoded) -> None:
        """Called with the intake's lock held."""
        decoder = self._intake.decoder
        if route.uses_engine:
            decoder.keep(decoded)
        elif not route.may_wait:
            decoder.undo()
        if decoded.items:
            self._count(_ACCEPTED[signal], decoded.items)
        if decoded.rejected:
            self._count(f"rejected_{signal}", decoded.rejected)
        for reason, n in decoded.dropped.items():
            self._count(f"unused_{reason}", n)

    def _count(self, name: str, n: int) -> None:
        """Called with the intake's lock held."""
        self._counters[name] = self._counters.get(name, 0) + n
        self._intake.count(name, n)

    def _count_outside(self, route: Route, **counts: int) -> None:
        """The intake's lock is held by those who do not wait."""
        with self._intake.lock if route.may_wait else nullcontext():
            for name, n in counts.items():
                self._count(name, n)


def _full(exporter: Exporter) -> Overloaded:
    return Overloaded(f"the queue of exporter {exporter.name} is full", retry_after_s=_RETRY_AFTER_S)


_ALL: Final = Accepted()
_ACCEPTED: Final = {signal: f"accepted_{signal}" for signal in Signal}


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
