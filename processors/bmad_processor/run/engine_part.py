"""The engine as a part of the collector: its host, who says what it decides, and the profiles it judges by."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from bmad_processor.config import CollectorConfig
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.request import Exporter
from bmad_processor.errors import StoreError
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
        _, performance = _engine_of(self._config)
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

    def change(self, config: CollectorConfig) -> None:
        """Other settings from now on, with panes of the same length; nothing that was learned is lost."""
        self._config = config
        settings, performance = _engine_of(config)
        self.host.set_settings(settings, commit_interval_ns=performance.commit_interval)
        self.profiles.look_at(config.profile_paths, interval_s=settings.interval_ns / SECOND)

    def restart(self, config: CollectorConfig) -> None:
        """As `change` with panes of another length: a last commit, and another host that goes on from it. Raises
        StoreError; then no engine runs until it is restarted by a configuration that works."""
        if self.host.trouble:  # what is not written would be forgotten
            raise StoreError(f"the engine cannot be restarted while its store cannot be written: {self.host.trouble}")
        self._config = config
        settings, _ = _engine_of(config)
        self.host.stop()
        self.host = self._build_host(replace(settings, profiles=self.host.settings.profiles))
        self.host.start()
        self.profiles.look_at(config.profile_paths, interval_s=settings.interval_ns / SECOND)

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
            "commits": {"duration_s": self.host.commits.to_dict(), "failed": self.host.n_failed_commits},
        }


class Reading(TypedDict):
    """What decoding goes by, for `Intake`."""

    interval_ns: int
    max_agents: int
    lateness_ns: int | None


def reading_of(config: CollectorConfig) -> Reading:
    """Without an engine nothing is made of what is read."""
    engine = config.engine
    if engine is None:
        return {"interval_ns": 5 * SECOND, "max_agents": 0, "lateness_ns": None}
    return {
        "interval_ns": engine.interval_ns,
        "max_agents": engine.max_agents,
        "lateness_ns": engine.lateness_ns,
    }


def _engine_of(config: CollectorConfig) -> tuple[EngineSettings, AgentPerformanceConfig]:
    settings, performance = config.engine, config.agent_performance
    assert settings is not None, "asked for a configuration with an engine"
    assert performance is not None, "the engine is made of it"
    return settings, performance
