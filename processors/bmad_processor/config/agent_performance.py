"""Configuration of the ``agent_performance`` processor: what the engine, its history and its store are told.

Defaults come from `EngineSettings`, so that there is one place for them.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, DurationNs, Ratio
from bmad_processor.quantities import render_duration
from bmad_processor.settings import SECOND, EngineSettings, Profiles

from .blocks import Names

_DEFAULT: Final = EngineSettings()
_HOUR: Final = 3600 * SECOND

# strict: `true` is not the number 1
_Count = Annotated[int, Strict(), Field(ge=1)]
_Share = Annotated[float, Strict(), Field(gt=0, le=1)]


class BaselineConfig(Config):
    """What is learned to be normal."""

    smoothing: _Share = _DEFAULT.smoothing
    """Weight of a new value in the moving average: small is slow and steady, 1 forgets everything before."""
    warmup: _Count = _DEFAULT.warmup
    """Values a baseline must have learned before it is used."""


class AlertsConfig(Config):
    """When an alert is said, and when it is over."""

    cooldown: Annotated[DurationNs, Field(ge=0, le=24 * _HOUR)] = _DEFAULT.cooldown_ns
    """After an alert resolved, the same series stays silent this long unless it gets worse than before."""
    max_alerts: _Count = 1000
    """Alerts kept in the store; the oldest resolved ones are replaced."""
    clear_margin: Annotated[Ratio, Field(ge=0, le=0.5)] = _DEFAULT.clear_margin_ratio
    """A level is left only this share of its threshold beyond it, so that a value at the threshold does not flap."""
    no_data_after: Annotated[DurationNs, Field(ge=SECOND, le=24 * _HOUR)] = _DEFAULT.no_data_after_ns
    """An alert whose series has had no data for this long is resolved, saying so."""
    early_interval: Annotated[DurationNs, Field(ge=0, le=10 * SECOND)] = SECOND // 50
    """Bad news is judged this soon after it arrived, without waiting for the pane end; 0: only at pane ends. Early
    judgements fire and escalate alerts, everything else happens at pane ends."""
    min_tasks: _Count = _DEFAULT.min_tasks
    """Finished tasks within the evaluation window that an error or success rate must rest on before it is judged."""


class ScalingConfig(Config):
    """How scaling advice is given; the thresholds themselves are in the profiles."""

    tolerance: Annotated[Ratio, Field(ge=0, le=0.9)] = _DEFAULT.tolerance_ratio
    """Distance from the target, as a share of it, within which nothing is advised."""
    stabilization_window: Annotated[DurationNs, Field(ge=0, le=_HOUR)] = _DEFAULT.stabilization_ns
    """Advice to scale down follows the highest advice of this long."""
    instance_timeout: Annotated[DurationNs, Field(ge=SECOND, le=24 * _HOUR)] = _DEFAULT.instance_timeout_ns
    """An instance that has not been heard of for this long is gone."""


class HistoryConfig(Config):
    """What is kept for trends and export."""

    size: _Count = 1000
    """Values kept per agent and metric type; the oldest is replaced."""


class LimitsConfig(Config):
    """Bounds of what is held in memory, whatever arrives. What goes beyond is folded or dropped, and counted."""

    max_agents: _Count = _DEFAULT.max_agents
    """Agents told apart; further ones are one agent, ``otel.overflow``."""
    max_instances: _Count = _DEFAULT.max_instances
    """Instances told apart within one agent."""
    max_streams: _Count = _DEFAULT.max_streams
    """Cumulative time series followed within one agent."""
    max_names: _Count = _DEFAULT.max_names
    """Custom and reported values told apart within one agent; further ones are one, ``overflow``."""
    max_models: _Count = _DEFAULT.max_models
    """Models and workflows whose tokens are told apart within one agent."""
    max_tools: _Count = _DEFAULT.max_tools
    """Tools whose calls are told apart within one agent."""
    forget_after: Annotated[DurationNs, Field(ge=60 * SECOND, le=365 * 24 * _HOUR)] = _DEFAULT.forget_after_ns
    """An agent without data for this long is forgotten, its baselines and history included; its alerts are kept.
    A custom value gives its place to a new one after this long."""


class AgentPerformanceConfig(Config):
    """Learns what is normal for each agent, alerts when it is not, and says how many instances the agent needs."""

    profiles: Names = ()
    """Profile files, or directories whose ``.yaml`` and ``.yml`` files are read; relative to the naming file."""
    monitoring_interval: Annotated[DurationNs, Field(ge=SECOND, le=60 * SECOND)] = _DEFAULT.interval_ns
    """How often everything is judged, and the length of the panes event time is cut into."""
    evaluation_window: Annotated[DurationNs, Field(ge=SECOND, le=_HOUR)] = _DEFAULT.window_ns
    """Length of the sliding window that is judged; a whole multiple of `monitoring_interval`."""
    allowed_lateness: Annotated[DurationNs, Field(ge=0, le=_HOUR)] = _DEFAULT.lateness_ns
    """A pane is judged this long after its end; what arrives for it later is counted as late and not used."""
    baseline: BaselineConfig = BaselineConfig()
    """What is learned to be normal."""
    alerts: AlertsConfig = AlertsConfig()
    """When an alert is said, and when it is over."""
    scaling: ScalingConfig = ScalingConfig()
    """How scaling advice is given; the thresholds themselves are in the profiles."""
    history: HistoryConfig = HistoryConfig()
    """What is kept for trends and export."""
    limits: LimitsConfig = LimitsConfig()
    """Bounds of what is held in memory. What goes beyond is folded or dropped, and counted."""
    commit_interval: Annotated[DurationNs, Field(ge=SECOND // 10, le=60 * SECOND)] = SECOND
    """How often learned state is written to the store; changes of alerts are written at once."""

    @model_validator(mode="after")
    def _window_is_whole_panes(self) -> Self:
        if self.evaluation_window % self.monitoring_interval:
            window, interval = render_duration(self.evaluation_window), render_duration(self.monitoring_interval)
            shorter = self.evaluation_window // self.monitoring_interval * self.monitoring_interval
            near = [render_duration(value) for value in (shorter, shorter + self.monitoring_interval) if value]
            message = f"evaluation_window {window} is not a whole multiple of monitoring_interval {interval}"
            # "field": the loader names it although the model as a whole is refused
            raise PydanticCustomError("value", message, {"field": "evaluation_window", "expected": " or ".join(near)})
        return self

    def to_settings(self, profiles: Profiles) -> EngineSettings:
        """The numbers of the engine, with ``profiles`` already read and merged."""
        return EngineSettings(
            profiles=profiles,
            interval_ns=self.monitoring_interval,
            window_ns=self.evaluation_window,
            lateness_ns=self.allowed_lateness,
            smoothing=self.baseline.smoothing,
            warmup=self.baseline.warmup,
            cooldown_ns=self.alerts.cooldown,
            clear_margin_ratio=self.alerts.clear_margin,
            no_data_after_ns=self.alerts.no_data_after,
            min_tasks=self.alerts.min_tasks,
            early_interval_ns=self.alerts.early_interval,
            tolerance_ratio=self.scaling.tolerance,
            stabilization_ns=self.scaling.stabilization_window,
            instance_timeout_ns=self.scaling.instance_timeout,
            max_agents=self.limits.max_agents,
            max_instances=self.limits.max_instances,
            max_streams=self.limits.max_streams,
            max_names=self.limits.max_names,
            max_models=self.limits.max_models,
            max_tools=self.limits.max_tools,
            forget_after_ns=self.limits.forget_after,
        )
