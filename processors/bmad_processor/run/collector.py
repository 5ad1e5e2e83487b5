"""One running collector: its life, from a configuration to its end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any, Final

from bmad_processor.config import CollectorConfig
from bmad_processor.emit import ConsoleWriter
from bmad_processor.errors import ConfigError
from bmad_processor.self_telemetry import Health
from bmad_processor.settings import Profiles

from .components import ApiFactory
from .deadline import Deadline
from .graph import STOP_DEADLINE_S, Graph
from .reload import Change
from .reloads import Reloads
from .workers.place import Place

_LOG: Final = logging.getLogger("bmad_otel.collector")


class Collector:
    """A context manager; `stop` is safe to call twice and from any thread.

    ``on_step`` is told the commit steps by name as they happen (tests kill the process there). ``place`` makes it one
    worker of several; see `workers`.
    """

    def __init__(
        self,
        config: CollectorConfig,
        *,
        build_api: ApiFactory | None = None,
        console: ConsoleWriter | None = None,
        clock: Callable[[], int] = time.time_ns,
        on_step: Callable[[str], None] | None = None,
        place: Place | None = None,
    ) -> None:
        self._place = place
        self._started_s = time.time()
        self._life = threading.Lock()
        """Held while it starts, reloads or stops."""
        self._is_running = False
        self._reloads = Reloads(clock)
        self._graph = Graph(
            config, status=self.status, build_api=build_api, console=console, clock=clock, on_step=on_step, place=place
        )

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises StartError or StoreError; everything started before is stopped again then."""
        self.prepare()
        self.listen()
        _LOG.info("ready: %s", ", ".join(f"{name} {address}" for name, address in self.endpoints.items()))

    def prepare(self) -> None:
        """The first half of `start`: everything but what others connect to."""
        self._try(self._graph.prepare)

    def listen(self) -> None:
        """The second half of `start`."""
        self._try(self._graph.listen)
        self._is_running = True
        self._say_notices()

    def _say_notices(self) -> None:
        for notice in self._graph.notices():
            _LOG.info("%s", notice)

    def _try(self, begin: Callable[[], None]) -> None:
        with self._life:
            try:
                begin()
            except BaseException:
                self._stop(STOP_DEADLINE_S)
                raise

    def reload(self, config: CollectorConfig) -> list[str]:
        """Brings ``config`` into force by what differs; says what has changed, in words.

        Before a start and after a stop it does nothing.

        Raises ReloadRefused, StartError or StoreError; then the configuration before is in force, all of it.
        """
        with self._life:
            if not self._is_running:
                return []

            def change() -> list[str]:
                with nullcontext() if self._place is None else self._place.held():
                    return Change(self._graph, config).apply()

            said = self._reloads.carry_out(change, if_nothing="nothing has changed")
            self._say_notices()
            return said

    def reject(self, error: ConfigError) -> None:
        """A configuration that is wrong was to be loaded: every problem is logged, and what runs goes on."""
        self._reloads.reject(error)

    def stop(self, within_s: float = STOP_DEADLINE_S) -> None:
        """Receivers, extensions, engine (last commit), exporters, store, under one deadline. Safe to call twice."""
        with self._life:
            self._stop(within_s)

    def _stop(self, within_s: float) -> None:
        self._is_running = False
        self._graph.stop(Deadline(within_s))

    def settle(self, mark: int, timeout_s: float) -> bool:
        """Of one worker: everything acknowledged before is committed, here and, as far as it is this one's, of the
        others, who are asked for the same ``mark``. False when that takes longer."""
        assert self._place is not None, "one of several"
        deadline = Deadline(timeout_s)
        self._graph.flush()
        is_settled = self._place.settle(mark, deadline.left_s)
        engine = self._graph.engine
        return is_settled and (engine is None or engine.host.commit_now(deadline.left_s))

    def judge_by(self, profiles: Profiles) -> None:
        """From the next step on, until the next `reload`."""
        engine = self._graph.engine
        if engine is not None:
            engine.host.set_profiles(profiles)

    def health(self) -> Health:
        """Whether requests are welcome, and what is wrong."""
        return self._graph.health()

    @property
    def config(self) -> CollectorConfig:
        """What it runs by."""
        return self._graph.config

    @property
    def endpoints(self) -> dict[str, str]:
        """Component to the address it really listens on, such as ``otlp/grpc`` and ``api``."""
        return self._graph.endpoints()

    def status(self) -> dict[str, Any]:
        """What the collector says about itself: the body of ``/api/v1/status``."""
        return {
            "version": version("bmad-otel"),
            "pid": os.getpid(),
            "uptime_s": round(time.time() - self._started_s, 3),
            "config": self._reloads.status(),
            **self._graph.status(),
        }
