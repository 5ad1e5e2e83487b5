"""From the configuration in force to another one, by what differs between them.

The order is in `Change.apply`. Every step that takes something away leaves behind how to bring it back; when a later
one fails they are taken in reverse, and what ran before runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from bmad_processor.config import CollectorConfig
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.emit.request import Exporter, ExportRequest
from bmad_processor.errors import ProcessorError, ReloadRefused
from bmad_processor.quantities import split_endpoint
from bmad_processor.settings import Profiles

from .components import (
    forgotten_queues,
    store_config,
    wanted_exporters,
    wanted_extensions,
    wanted_processors,
    wanted_receivers,
)
from .deadline import Deadline
from .engine_part import reading_of
from .graph import LISTENER_SHARE_S, STOP_DEADLINE_S, Graph
from .part import Part, Wanted
from .shelf import Shelf

_LOG: Final = logging.getLogger("bmad_otel.collector")

_EMPTY_S: Final = 2.0
"""Requests inside the gate finish within this; one that waits longer goes on with the routes it has."""

_HAND_OVER_S: Final = 2.0
"""A request that a backend has not answered within this is sent again by the next exporter."""

P = TypeVar("P", bound=Part)


def unchangeable(old: CollectorConfig, new: CollectorConfig) -> list[str]:
    """What differs and cannot be changed while the collector runs, in words."""
    found: list[str] = []
    before, after = store_config(old), store_config(new)
    if before is not None and after is not None and before != after:
        found.append(f"the store ({before.path}) cannot be exchanged for another one ({after.path})")
    if old.workers != new.workers:
        found.append(f"service::workers cannot be changed from {old.workers} to {new.workers}")
    return found


class Change:
    """One reload of ``graph`` to ``new``."""

    def __init__(self, graph: Graph, new: CollectorConfig) -> None:
        self._graph = graph
        self._old = graph.config
        self._new = new
        self._undo: list[Callable[[], None]] = []
        self._at_last: list[Callable[[], None]] = []
        """What ends when nothing can fail any more."""

    def apply(self) -> list[str]:
        """Brings the new configuration into force; says what has changed, in words.

        Raises ReloadRefused, StartError or StoreError; the old configuration is in force then, with everything running.
        """
        refused = unchangeable(self._old, self._new)
        if refused:
            raise ReloadRefused(refused)
        graph, new = self._graph, self._new
        said: list[str] = []
        try:
            self._open_store()
            said += self._add(graph.exporters, wanted_exporters(new), "exporter")
            around = graph.surroundings(new)
            said += self._add(graph.processors, wanted_processors(around), "processor")
            self._close_gate()
            said += self._exchange_exporters()
            said += self._exchange(graph.processors, wanted_processors(around), "processor")
            said += self._change_engine()
            graph.config = new
            self._route_by(new)
            around = graph.surroundings(new)
            # after the routes: a new receiver finds its pipeline, and the gate is still closed
            said += self._listen(graph.extensions, wanted_extensions(around), "extension")
            said += self._listen(graph.receivers, wanted_receivers(around), "receiver")
        except BaseException:
            self._roll_back()
            raise
        graph.gate.open()
        for end in self._at_last:
            end()
        graph.forget_pipelines(new)
        for file in set(forgotten_queues(new)) - set(forgotten_queues(self._old)):
            _LOG.warning("%s is no longer used: what waits in it stays there until its exporter is stored again", file)
        if store_config(new) is None:
            graph.close_store()
        return said

    def _roll_back(self) -> None:
        for step in reversed(self._undo):
            try:
                step()
            except ProcessorError as error:  # somebody took the port in between: the rest comes back all the same
                _LOG.error("the reload failed, and so did its undoing: %s", error)
        self._graph.config = self._old
        self._route_by(self._old)  # the parts that came back are others than those that went
        self._graph.gate.open()

    # Before the gate closes ---------------------------------------------------------------------------------------

    def _open_store(self) -> None:
        if self._graph.store is None and store_config(self._new) is not None:
            self._graph.open_store(self._new)
            self._undo.append(self._graph.close_store)

    def _add(self, shelf: Shelf[P], wanted: Iterable[Wanted[P]], kind: str) -> list[str]:
        """Starts what is new. What is no longer wanted ends at last."""
        said: list[str] = []
        names = set()
        for part in wanted:
            names.add(part.name)
            if part.name not in shelf.parts:
                shelf.start(part)
                self._undo.append(lambda name=part.name: _end(shelf, name))  # type: ignore[misc]
                said.append(f"{kind} {part.name} added")
        for name in [name for name in shelf.parts if name not in names]:
            self._at_last.append(lambda name=name: self._drain(shelf, name))  # type: ignore[misc]
            said.append(f"{kind} {name} removed")
        return said

    def _drain(self, shelf: Shelf[P], name: str) -> None:
        """Ends a part in the background: it may have a queue to deliver."""
        _, part = shelf.take(name)
        self._graph.leave(name, lambda: part.stop(STOP_DEADLINE_S))

    # While it is closed -------------------------------------------------------------------------------------------

    def _close_gate(self) -> None:
        if not self._graph.gate.close(Deadline(_EMPTY_S)):
            _LOG.warning("requests are still in hand after %g s, changing the configuration all the same", _EMPTY_S)
        self._graph.flush()  # what was acknowledged is the old engine's

    def _exchange_exporters(self) -> list[str]:
        shelf = self._graph.exporters
        changed = [wanted for wanted in wanted_exporters(self._new) if wanted != shelf.wanted()[wanted.name]]
        for wanted in changed:
            self._exchange_exporter(shelf, wanted)
        return [f"exporter {wanted.name} changed" for wanted in changed]

    def _exchange_exporter(self, shelf: Shelf[Exporter], wanted: Wanted[Exporter]) -> None:
        before, old = shelf.take(wanted.name)
        waiting = old.hand_over(_HAND_OVER_S)

        def put_back() -> None:
            left = waiting
            if wanted.name in shelf.parts:
                _, new = shelf.take(wanted.name)
                left = new.hand_over(_HAND_OVER_S)
            _start_with(shelf, before, left)

        self._undo.append(put_back)
        _start_with(shelf, wanted, waiting)

    def _exchange(self, shelf: Shelf[P], wanted: Iterable[Wanted[P]], kind: str) -> list[str]:
        changed = [part for part in wanted if part != shelf.wanted()[part.name]]
        for part in changed:
            before = shelf.stop(part.name, Deadline(LISTENER_SHARE_S))
            self._undo.append(lambda before=before: _restart(shelf, before))  # type: ignore[misc]
            shelf.start(part)
        return [f"{kind} {part.name} changed" for part in changed]

    def _change_engine(self) -> list[str]:
        graph, old, new = self._graph, self._old, self._new
        graph.flush()  # what is held was received for the engine that is about to go
        if new.engine is None:
            if graph.engine is None:
                return []
            self._undo.append(lambda: self._start_engine(old))
            graph.stop_engine()
            graph.connect_engine(new)
            return ["engine removed"]
        if graph.engine is None:
            self._undo.append(lambda: self._stop_engine(old))
            self._start_engine(new)
            return ["engine added"]
        if reading_of(old)["interval_ns"] != reading_of(new)["interval_ns"]:
            change = self._restart_engine
        elif _judged_by(old) != _judged_by(new):
            change = self._settle_engine
        else:
            return []
        self._undo.append(lambda: change(old))
        change(new)
        return ["engine changed"]

    def _start_engine(self, config: CollectorConfig) -> None:
        self._graph.start_engine(config)
        self._graph.connect_engine(config)

    def _stop_engine(self, config: CollectorConfig) -> None:
        self._graph.stop_engine()
        self._graph.connect_engine(config)

    def _restart_engine(self, config: CollectorConfig) -> None:
        assert self._graph.engine is not None, "it runs"
        self._fit_store(config)
        self._graph.engine.restart(config)
        self._graph.connect_engine(config)

    def _settle_engine(self, config: CollectorConfig) -> None:
        assert self._graph.engine is not None, "it runs"
        self._fit_store(config)
        self._graph.engine.change(config)

    def _fit_store(self, config: CollectorConfig) -> None:
        # only when it is asked for: a disk that is full for now must not keep a threshold from being changed
        if _kept_by(self._old) != _kept_by(self._new):
            assert self._graph.store is not None, "an engine has a store"
            history_size, max_alerts = _kept_by(config)
            self._graph.store.fit(history_size=history_size, max_alerts=max_alerts)

    def _route_by(self, config: CollectorConfig) -> None:
        graph = self._graph
        graph.route(config)
        if graph.engine is not None:
            graph.engine.announce_to(config, graph.exporters.parts)

    def _listen(self, shelf: Shelf[P], wanted: Iterable[Wanted[P]], kind: str) -> list[str]:
        """Listeners at addresses that are free come first: what they need to start is taken from nobody."""
        parts = {part.name: part for part in wanted}
        running = shelf.wanted()
        changed = [part for part in parts.values() if part.name in running and part != running[part.name]]
        added = [part for part in parts.values() if part.name not in running]
        removed = [name for name in running if name not in parts]
        for part in changed:
            self._take_away(shelf, part.name)
        taken = {part.endpoint for part in added if part.endpoint and split_endpoint(part.endpoint)[1]}
        for name in removed:
            if running[name].endpoint in taken:  # another one is to listen there
                self._take_away(shelf, name)
            else:
                self._at_last.append(lambda name=name: _end(shelf, name))  # type: ignore[misc]
        for part in (*changed, *added):
            shelf.start(part)
            self._undo.append(lambda name=part.name: _end(shelf, name))  # type: ignore[misc]
        return [
            *(f"{kind} {part.name} changed" for part in changed),
            *(f"{kind} {part.name} added" for part in added),
            *(f"{kind} {name} removed" for name in removed),
        ]

    def _take_away(self, shelf: Shelf[P], name: str) -> None:
        before = shelf.stop(name, Deadline(LISTENER_SHARE_S))
        self._undo.append(lambda: _restart(shelf, before))


def _judged_by(config: CollectorConfig) -> object:
    """What the engine is told, but for the content of profile files: those are looked after all the time."""
    settings = None if config.engine is None else replace(config.engine, profiles=Profiles())
    return settings, config.agent_performance, config.profile_paths


def _kept_by(config: CollectorConfig) -> tuple[int, int]:
    """Points of history and alerts that the store keeps."""
    performance = config.agent_performance or AgentPerformanceConfig()
    return performance.history.size, performance.alerts.max_alerts


def _end(shelf: Shelf[P], name: str) -> None:
    if name in shelf.parts:
        shelf.stop(name, Deadline(LISTENER_SHARE_S))


def _restart(shelf: Shelf[P], wanted: Wanted[P]) -> None:
    _end(shelf, wanted.name)
    shelf.start(wanted)


def _start_with(shelf: Shelf[Exporter], wanted: Wanted[Exporter], waiting: list[ExportRequest]) -> None:
    shelf.start(wanted).adopt(waiting)
