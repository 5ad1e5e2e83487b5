"""Workers in the test's own process, each at a port of its own: a test says who gets what, and what time it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import combinations, count
from pathlib import Path

from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.run.workers.channel import Channel
from bmad_processor.run.workers.place import Place
from bmad_processor.run.workers.start import config_of_worker, listeners
from bmad_processor.store import share


class Together:
    """Running workers."""

    def __init__(self, collectors: list[Collector]) -> None:
        self._collectors = collectors
        self._marks = count(1)
        self.endpoints = [collector.endpoints["otlp/grpc"] for collector in collectors]

    def settle(self) -> None:
        """Everything that was acknowledged is committed, as before an answer."""
        mark, answers = next(self._marks), []
        threads = [
            threading.Thread(target=lambda c=c: answers.append(c.settle(mark, 20)))  # type: ignore[misc]
            for c in self._collectors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [True] * len(self._collectors)


@contextmanager
def together(path: Path, n: int, *, clock: Callable[[], int]) -> Iterator[Together]:
    """``n`` workers with the configuration in ``path`` on its store."""
    config = replace(load_config([path]), workers=n)
    with ExitStack() as stack:
        stack.enter_context(share(str(path.with_name("state.db")), workers=n))
        places = [Place(worker, n) for worker in range(n)]
        collectors = [
            Collector(config_of_worker(config, worker, listeners(config)), clock=clock, place=place)
            for worker, place in enumerate(places)
        ]

        def stop() -> None:  # all at once, as a supervisor does it: each waits for the last words of the others
            threads = [threading.Thread(target=collector.stop) for collector in collectors]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        stack.callback(stop)
        for collector in collectors:
            collector.prepare()
        for a, b in combinations(range(n), 2):
            one, two = socket.socketpair()
            places[a].connect(b, Channel(one))
            places[b].connect(a, Channel(two))
        for collector in collectors:
            collector.listen()
        yield Together(collectors)
