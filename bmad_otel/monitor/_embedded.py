"""The host in this process: reads the SDK's registers, feeds an engine with them, and asks it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bmad_otel import _configure, _settings
from bmad_otel._clock import clock
from bmad_otel._providers import resource_of
from bmad_otel._state import state
from bmad_otel.monitor._config import Config
from bmad_otel.monitor._host import Listener, Unanswered
from bmad_otel.monitor._observe import Observer
from bmad_otel.monitor._profiles import Body

if TYPE_CHECKING:
    from bmad_processor.settings import EngineSettings, Profile


class Embedded:
    """An engine of its own for each monitor."""

    def __init__(self, config: Config, listener: Listener) -> None:
        from bmad_processor.run.embedded import EmbeddedHost

        state.open().watch()
        self._collecting = threading.Lock()
        self._observer = Observer(state, resource_of(_configure.settings_in_force() or _default_settings()))
        self._engine = EmbeddedHost(
            engine_settings(config),
            history_size=config.metrics_history_size,
            max_alerts=config.max_alerts,
            clock=_now_ns,
            listener=listener,
        )

    def ask(self, path: str, params: Mapping[str, str], *, collects: bool = True) -> dict[str, Any]:
        """See `Host`."""
        from bmad_processor.errors import Unanswerable

        if collects:
            self.collect()
        try:
            return self._engine.answer(path, params)
        except Unanswerable as error:
            raise Unanswered(error.status, error.code, error.detail, error.suggestions) from None

    def register(self, agent: str, body: Body) -> None:
        """See `Host`."""
        self._engine.set_profile(profile_of(agent, body, self._engine.settings.profiles.default))

    def set_interval(self, interval_s: float) -> None:
        """See `Host`."""
        self._engine.set_interval(round(interval_s * 1e9))

    def collect(self) -> None:
        """See `Host`."""
        with self._collecting:  # what was read first is fed first
            for body, time_ns in self._observer.requests():
                self._engine.take(body, time_ns)

    def judge(self) -> None:
        """See `Host`."""
        self._engine.tick(self._observer.now_ns())

    def counters(self) -> dict[str, int]:
        """See `Host`."""
        return {}

    def close(self) -> None:
        """See `Host`."""
        self._observer.close()


def _now_ns() -> int:
    return clock.unix_ns()  # looked up at each reading: a test may have put its own in its place


def _default_settings() -> _settings.Settings:
    return _settings.checked(
        service_name=None, endpoint=None, protocol=None, headers=None, resource_attributes=None, host_metrics=True
    )


def engine_settings(config: Config) -> EngineSettings:
    """The engine's settings. Nothing comes late: what is fed is fed at once."""
    from bmad_processor.settings import EngineSettings

    interval_ns = round(config.monitoring_interval * 1e9)
    window_ns = -(-round(config.evaluation_window * 1e9) // interval_ns) * interval_ns
    return EngineSettings(
        interval_ns=interval_ns,
        window_ns=window_ns,
        lateness_ns=0,
        smoothing=config.baseline_smoothing,
        cooldown_ns=round(config.alert_cooldown * 1e9),
    )


def summary_without_data(agent: str, body: Body, params: Mapping[str, str]) -> dict[str, Any]:
    """The summary of an agent that has a profile and has never been heard of."""
    from bmad_processor.run.embedded import summary_without_data as summary_of
    from bmad_processor.settings import Profile

    return summary_of(profile_of(agent, body, Profile("*")), _now_ns(), params)


def profile_of(agent: str, body: Body, below: Profile) -> Profile:
    """The engine's profile of ``body``, in base units, over ``below``."""
    from bmad_processor.model import Level
    from bmad_processor.run.profile_over import merged_profile
    from bmad_processor.summary import metric_row

    thresholds = {
        name: {Level[label.upper()]: value / metric_row(name).display_factor for label, value in levels.items()}
        for name, levels in body["thresholds"].items()
    }
    scaling = {
        name: value / 100 if name.endswith("_threshold") and value is not None else value
        for name, value in body["scaling"].items()
    }
    most = scaling.get("max_instances")
    if most is not None and most < scaling.get("min_instances", below.scaling.min_instances):
        scaling["min_instances"] = most  # an inherited number must not contradict what was given
    least = scaling.get("min_instances")
    if least is not None and least > scaling.get("max_instances", below.scaling.max_instances):
        scaling["max_instances"] = least
    return merged_profile(
        agent,
        below,
        thresholds=thresholds,
        scaling=scaling,
        monitoring_enabled=body["monitoring_enabled"],
        auto_scaling_enabled=body["auto_scaling_enabled"],
    )
