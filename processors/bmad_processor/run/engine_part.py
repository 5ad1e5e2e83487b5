"""The engine as a part of the collector: its host, who says what it decides, and the profiles it judges by."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from bmad_processor.config import CollectorConfig
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.request import Exporter
from bmad_processor.model import Signal
from bmad_processor.settings import SECOND, EngineSettings, Profiles
from bmad_processor.store import Store

from .announce import Announcer
from .host import EngineHost
from .profiles import ProfileKeeper
from .routing import exporters_of


class EnginePart:
    """Made for a configuration that has an engine; ``exporters`` are the running ones by id."""

    def __init__(
        self,
        config: CollectorConfig,
        settings: EngineSettings,
        store: Store,
        exporters: Mapping[str, Exporter],
        *,
        console: ConsoleWriter | None = None,
        clock: Callable[[], int] = time.time_ns,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._on_step = on_step
        self.announcer = Announcer(
            store,
            events_to=exporters_of(config, Signal.LOGS, exporters),
            gauges_to=exporters_of(config, Signal.METRICS, exporters),
            console=console,
            clock=clock,
        )
        self.host = self._build_host(settings)
        self.profiles = ProfileKeeper(
            config.profile_paths,
            os.environ,
            self._judge_by,
            interval_s=settings.interval_ns / SECOND,
            clock=clock,
        )

    def _build_host(self, settings: EngineSettings) -> EngineHost:
        performance = self._config.agent_performance
        assert performance is not None, "a configuration with an engine has its processor"
        return EngineHost(
            settings,
            self._store,
            self.announcer,
            commit_interval_ns=performance.commit_interval,
            clock=self._clock,
            on_step=self._on_step,
        )

    def _judge_by(self, profiles: Profiles) -> None:
        self.host.set_profiles(profiles)

    def start(self) -> None:
        """Goes on where the store ends. Raises StoreError."""
        self.host.start()
        self.profiles.start(self._config.profiles)

    def stop(self) -> None:
        """Ends after a last commit; safe to call twice, and when `start` failed."""
        self.profiles.stop()
        self.host.stop()

    def announce_to(self, config: CollectorConfig, exporters: Mapping[str, Exporter]) -> None:
        """Events and gauges go to these exporters from now on."""
        self.announcer.send_to(
            events_to=exporters_of(config, Signal.LOGS, exporters),
            gauges_to=exporters_of(config, Signal.METRICS, exporters),
        )

    def status(self) -> dict[str, Any]:
        """Its sections of the collector's status."""
        return {
            "engine": self.host.counters(),
            "profiles": self.profiles.status(),
            "announcer": self.announcer.counters(),
        }
