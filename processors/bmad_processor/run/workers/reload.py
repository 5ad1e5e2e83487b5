"""Another configuration for a collector of several processes: workers first, then what the supervisor itself runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bmad_processor.config import CollectorConfig
from bmad_processor.errors import ProcessorError, ReloadRefused
from bmad_processor.run.components import store_config
from bmad_processor.run.deadline import Deadline
from bmad_processor.run.graph import LISTENER_SHARE_S
from bmad_processor.run.part import Part, Wanted
from bmad_processor.run.shelf import Shelf

from .ports import Reservation
from .start import listeners


def check_changeable(old: CollectorConfig, new: CollectorConfig) -> None:
    """Raises ReloadRefused for what workers that run cannot change."""
    found: list[str] = []
    if old.workers != new.workers:
        found.append(f"the number of workers ({old.workers}) cannot become {new.workers}")
    if store_config(old) != store_config(new):
        found.append("the store cannot be exchanged, added or removed")
    if (old.engine is None) != (new.engine is None):
        found.append("the engine cannot be added or removed")
    if found:
        raise ReloadRefused(found)


class Ports:
    """The ports that are held for workers: by name of the listener, where it was to listen, and the reservation."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, Reservation]] = {}

    def endpoints(self) -> dict[str, str]:
        """Name of the listener to the address that is held."""
        return {name: reserved.endpoint for name, (_, reserved) in self._held.items()}

    def take(self, config: CollectorConfig) -> Callable[[bool], None]:
        """Holds what ``config`` wants, beside what is held already. What it gives is to be called when that is settled:
        with True what is not wanted is released, with False all is as it was. Raises StartError; then it is too.
        """
        before = dict(self._held)
        wanted = listeners(config)
        after: dict[str, tuple[str, Reservation]] = {}
        new: list[Reservation] = []
        try:
            for name, endpoint in wanted.items():
                if name in before and before[name][0] == endpoint:
                    after[name] = before[name]
                    continue
                new.append(Reservation(endpoint))
                after[name] = (endpoint, new[-1])
        except BaseException:
            _release(new)
            raise
        self._held = after

        def settle(is_wanted: bool) -> None:
            if is_wanted:
                _release(reserved for name, (_, reserved) in before.items() if after.get(name) != before[name])
            else:
                self._held = before
                _release(new)

        return settle

    def release(self) -> None:
        """All of them; safe to call twice."""
        _release(reserved for _, reserved in self._held.values())


def _release(reservations: Iterable[Reservation]) -> None:
    for reserved in reservations:
        reserved.release()


def exchange(shelf: Shelf[Part], wanted: Iterable[Wanted[Part]]) -> list[str]:
    """The parts of ``shelf`` become those that are wanted; says what has changed. Raises StartError; then they are what
    they were, as far as they can be started again.
    """
    parts, running = {part.name: part for part in wanted}, shelf.wanted()
    gone = {name: part for name, part in running.items() if parts.get(name) != part}
    new = [part for part in parts.values() if running.get(part.name) != part]
    for name in gone:
        shelf.stop(name, Deadline(LISTENER_SHARE_S))
    started: list[str] = []
    try:
        for part in new:
            shelf.start(part)
            started.append(part.name)
    except ProcessorError:
        for name in started:
            shelf.stop(name, Deadline(LISTENER_SHARE_S))
        for part in gone.values():
            shelf.start(part)
        raise
    return [
        *(f"extension {part.name} {'changed' if part.name in gone else 'added'}" for part in new),
        *(f"extension {name} removed" for name in gone if name not in parts),
    ]
