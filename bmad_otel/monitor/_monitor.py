"""`PerformanceMonitor`: the API of the BMAD performance monitor over an engine in this process or a collector."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from bmad_otel import _guard
from bmad_otel._handle import TaskHandle
from bmad_otel._labels import OVERFLOW_AGENT
from bmad_otel._state import state
from bmad_otel.monitor import _analysis, _config, _export, _profiles
from bmad_otel.monitor._callbacks import Callback, Callbacks
from bmad_otel.monitor._embedded import Embedded, summary_without_data
from bmad_otel.monitor._hooks import Hooks
from bmad_otel.monitor._host import Host, Unanswered
from bmad_otel.monitor._loop import Loop
from bmad_otel.monitor._names import canonical
from bmad_otel.monitor._open_tasks import OpenTasks
from bmad_otel.monitor._remote import Remote
from bmad_otel.monitor._sayings import UNKNOWN_AGENT, Sayings
from bmad_otel.monitor._types import (
    DEFAULT_THRESHOLDS,
    AgentPerformanceProfile,
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMetric,
)
from bmad_otel.monitor._views import MAX_POINTS, History, alert_of

ENDPOINT_VARIABLE: Final = "BMAD_OTEL_ENDPOINT"
"""Where the API of a collector listens, such as ``localhost:8320``. Not set: the engine runs in this process."""


class _Monitors:
    """All monitors of the process, for as long as somebody keeps them: each begins anew in a forked child."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[PerformanceMonitor] = weakref.WeakSet()
        self._follows_forks = False

    def add(self, monitor: PerformanceMonitor) -> None:
        self._all.add(monitor)
        if not self._follows_forks and hasattr(os, "register_at_fork"):
            self._follows_forks = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        for monitor in list(self._all):
            monitor.after_fork_in_child()


_monitors: Final = _Monitors()


class PerformanceMonitor:
    """Watches the agents of this program: what they do, what is normal for them, and when it is not.

    What `track_task`, `start_task_tracking`, `log_metric`, `observe_queue` and the host say is judged by an engine in
    this process, or, with an ``endpoint``, by a collector that gets it over OTLP; both give the same answers. Without
    `start_monitoring` everything is recorded, and judged when somebody asks.

    What agents call while they work (`start_task_tracking`, `end_task_tracking`, `log_metric`, `record_metric`) never
    raises and never waits; what could not be used is counted in `dropped`. What a person calls refuses wrong arguments
    with a ValueError or TypeError; questions to a collector that does not answer raise ConnectionError.

    Thread-safe, and usable in a forked child, which begins with nothing of its parent's but profiles and callbacks.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, *, endpoint: str | None = None) -> None:
        """``config``: ``monitoring_interval`` (1 to 60 s, 5), ``metrics_history_size`` (1000), ``baseline_smoothing``
        (0.1), ``alert_cooldown`` (300 s), ``max_alerts`` (1000), ``evaluation_window`` (60 s).

        ``endpoint``: address of a collector's API, else the variable BMAD_OTEL_ENDPOINT, else an engine of its own. A
        collector has these numbers in its own configuration.

        Raises ValueError naming every wrong key.
        """
        self._config = _config.checked(config)
        self._given_config = dict(config or {})
        self._endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE, "").strip() or None
        self._lock = threading.RLock()
        self._profiles: dict[str, tuple[AgentPerformanceProfile, _profiles.Body]] = {}
        self._tasks = OpenTasks()
        self._sayings = Sayings()
        self._callbacks = Callbacks()
        self._hooks = Hooks(self._collect_custom_metrics)
        self._loop: Loop | None = None
        self._host = self._open_host()
        _monitors.add(self)

    # What agents call -------------------------------------------------------------------------------------------------

    def start_task_tracking(self, agent_name: str, task_id: str) -> TaskHandle:
        """Begin a task of an agent: a span ``invoke_agent {agent}`` below the current one, which is not made current.

        It may end on another thread. The same id once more, before the end, begins anew; the earlier one is given up.
        """
        try:
            agent = canonical(agent_name) if agent_name and type(agent_name) is str else _name(agent_name)
            return self._tasks.start(agent, task_id if type(task_id) is str else str(task_id))
        except Exception as error:  # noqa: BLE001 - the agent goes on whatever happened here
            _guard.contain("starting a task", error)
            return TaskHandle(None)

    def end_task_tracking(self, agent_name: str, task_id: str, success: bool = True) -> None:
        """End the task; without ``success`` it counts as failed. An id that was not started is counted and told once
        in the log."""
        try:
            agent = canonical(agent_name) if agent_name and type(agent_name) is str else _name(agent_name)
            key = task_id if type(task_id) is str else str(task_id)
            if not self._tasks.end(agent, key, success=bool(success)):
                _guard.warn_once(
                    "unknown task",
                    "bmad_otel: end_task_tracking(%r, %r): no such task was started, or it has ended; said once",
                    agent_name,
                    key,
                )
        except Exception as error:  # noqa: BLE001 - as above
            _guard.contain("ending a task", error)

    def _record_metric(self, agent_name: str, metric_type: MetricType, value: float, unit: Any = "") -> None:
        """What an agent says of itself under a metric type: shown as self-reported, never judged. Under
        `MetricType.CUSTOM` it is a custom value without a name, which is."""
        self._sayings.of_type(agent_name, metric_type, value, unit)

    def log_metric(self, metric_name: str, value: Any, unit: str = "count", agent_name: str = UNKNOWN_AGENT) -> None:
        """A value of the program's own: the series ``custom:{metric_name}`` of the agent. A dict is an event: it is
        counted, and goes as a log record to the program's logger provider.

        Without ``agent_name`` it is the agent whose method calls: its ``self.agent_name``.
        """
        self._sayings.logged(metric_name, value, unit, agent_name)

    def record_metric(self, metric_name: str, value: Any, unit: str = "count", agent_name: str = UNKNOWN_AGENT) -> None:
        """The same as `log_metric`; also takes ``(metric type, name, value, attributes)``."""
        self._sayings.logged(metric_name, value, unit, agent_name)

    async def _collect_custom_metrics(self, agent_name: str) -> None:
        """For subclasses, which may also make it a plain function: called once for each agent and interval while
        monitoring, to record what only the program knows."""

    # Monitoring -------------------------------------------------------------------------------------------------------

    def start_monitoring(self, interval: float | None = None) -> None:
        """Collect and judge every ``interval`` seconds (1 to 60; the configured ones) in a thread of its own, until
        `stop_monitoring` or the end of the program. While it runs, only another interval changes anything.

        Raises ValueError for an interval out of range.
        """
        interval_s = self._config.monitoring_interval if interval is None else _config.checked_interval(interval)
        with self._lock:
            if self._loop is not None:
                if self._loop.is_alive and self._loop.interval_s == interval_s:
                    return
                self._loop.stop()
            self._host.set_interval(interval_s)
            self._loop = Loop(interval_s, self._collect_all, self._judge)

    def stop_monitoring(self) -> None:
        """End the thread. What was learned stays, and everything goes on being recorded."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    @property
    def monitoring_active(self) -> bool:
        """Whether the monitoring thread runs."""
        loop = self._loop
        return loop is not None and loop.is_alive

    def collect(self) -> None:
        """Read everything now, and judge what is due: what the thread does at each interval."""
        self._tasks.expire()
        self._host.collect()
        self._host.judge()

    def _collect_all(self) -> None:
        self._tasks.expire()
        self._callbacks.watch()
        if type(self)._collect_custom_metrics is not PerformanceMonitor._collect_custom_metrics:
            self._hooks.run(self._agents())
        self._host.collect()

    def _judge(self) -> None:
        self._host.judge()

    def _agents(self) -> set[str]:
        return {canonical(name) for name in (*self._profiles, *state.agents.known.copy()) if name != OVERFLOW_AGENT}

    # Profiles ---------------------------------------------------------------------------------------------------------

    def register_agent_profile(self, profile: AgentPerformanceProfile) -> None:
        """Judge an agent by ``profile`` from now on. Whatever was recorded and learned of it stays.

        Thresholds of `MetricType.MEMORY_USAGE` above 100 are MiB of resident memory. Raises ValueError naming every
        problem with its path, such as ``thresholds.cpu_usage.critical``.
        """
        body = _profiles.checked(profile)
        kept = copy.deepcopy(profile)
        with self._lock:
            self._host.register(canonical(profile.agent_name), body)
            self._profiles[profile.agent_name] = (kept, body)

    @property
    def agent_profiles(self) -> dict[str, AgentPerformanceProfile]:
        """The profiles registered here, by name. A copy: `register_agent_profile` changes them."""
        with self._lock:
            return {name: copy.deepcopy(profile) for name, (profile, _) in self._profiles.items()}

    @property
    def default_thresholds(self) -> dict[MetricType, dict[AlertLevel, float]]:
        """What an agent without a profile is judged by, in the units people read. A copy."""
        return {metric_type: dict(levels) for metric_type, levels in DEFAULT_THRESHOLDS.items()}

    # Questions --------------------------------------------------------------------------------------------------------

    def get_agent_performance_summary(self, agent_name: str, time_window: timedelta | None = None) -> dict[str, Any]:
        """What is known of an agent under any of its names: ``current_metrics`` (metric to ``value``, ``unit``, ``n``),
        ``baseline_metrics``, ``alerts``, ``recommendations``, ``scaling`` and more; docs/monitor.md lists the keys.

        A metric nobody has measured is absent. With ``time_window`` there are ``window_metrics`` (mean, min, max, last,
        p95, n and unit of each metric within it), and alerts that ended before it are left out. Empty for an agent that
        is not known; one with a profile but without data has the same keys.
        """
        params = {} if time_window is None else {"window": _analysis.duration("time_window", time_window)}
        name = canonical(str(agent_name))
        try:
            return self._host.ask(f"agents/{name}", params)
        except Unanswered as error:
            if error.code != "unknown_agent":
                raise
            body = next((body for own, (_, body) in self._profiles.items() if canonical(own) == name), None)
            return {} if body is None else summary_without_data(name, body, params)

    def get_system_performance_summary(self) -> dict[str, Any]:
        """Host, agents and alerts together: ``cpu_usage``, ``memory_usage`` (percent), ``disk_io``, ``network_io``
        (bytes per second; None until measured), ``active_agents``, ``total_alerts`` and more."""
        return self._host.ask("system-summary", {})

    def analyze_performance_trends(
        self, agent_name: str, time_window: timedelta | str = timedelta(hours=1)
    ) -> dict[str, dict[str, Any]]:
        """Which metrics of an agent rise or fall within ``time_window`` (or ``"90m"``): metric to ``trend`` (slope, in
        ``unit`` per hour), ``direction`` (``increasing``, ``decreasing`` or ``stable``), ``magnitude`` (its size),
        ``slope_per_hour``, ``ci95``, ``n``, ``significant``, ``unit``, ``from``, ``to`` and ``reason``.

        What is not significant is ``stable``; with too few values the numbers are None. docs/trends.md says how sure
        the rest is. Empty for an agent that is not known. Raises ValueError for a time that cannot be looked at.
        """
        return _analysis.trends(self._host.ask, agent_name, time_window)

    def predict_scaling_needs(
        self, agent_name: str, horizon: timedelta | str = timedelta(minutes=15)
    ) -> dict[str, Any]:
        """How many instances an agent will need within ``horizon``: ``action`` (``scale_up``, ``scale_down`` or
        ``maintain``), ``reason``, ``urgency`` (``high``, ``medium`` or ``low``), ``current``, ``desired``,
        ``min_instances``, ``max_instances`` and the ``evidence`` per metric (docs/trends.md).

        Without data the advice is to maintain, with the reason ``no data``. Raises ValueError for a wrong time.
        """
        return _analysis.scaling_needs(self._host.ask, agent_name, horizon)

    def export_performance_data(self, format: str = "json") -> str:  # noqa: A002 - the name of the drop-in API
        """Everything in one document: ``timestamp``, ``system_summary``, ``agent_summaries``, ``recent_alerts``,
        ``history`` and more (docs/export-and-check.md), as ``json``, ``csv``, ``prometheus``, ``openmetrics`` or
        ``otlp-json``.

        Raises ValueError for an unknown format.
        """
        return _export.export(self._host.ask, format)

    @property
    def alerts(self) -> list[PerformanceAlert]:
        """The alerts that are kept, firing and resolved, the oldest first. A copy."""
        limit = min(self._config.max_alerts, MAX_POINTS)
        found = self._host.ask("alerts", {"limit": str(limit)})["alerts"]
        return sorted(map(alert_of, found), key=lambda alert: alert.timestamp)

    @property
    def metrics_history(self) -> Mapping[str, Sequence[PerformanceMetric]]:
        """The judged values of every series, by ``{agent}_{metric}`` and ``{agent}_custom:{name}``; the host is the
        agent ``system``. A view."""
        return History(self._host.ask)

    # Alerts -----------------------------------------------------------------------------------------------------------

    def add_alert_callback(self, callback: Callback) -> None:
        """Call ``callback`` with a `PerformanceAlert` when one fires, gets worse, or is resolved (``alert.resolved``).

        In a thread of its own, one call at a time; a coroutine function is run there. What it raises is logged. One
        that takes longer than 10 s is told nothing more until it returns. Raises TypeError if it cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"an alert callback must be callable, not {callback!r}")
        self._callbacks.callbacks.append(callback)

    def remove_alert_callback(self, callback: Callback) -> None:
        """Call it no more; nothing happens if it was not added."""
        if callback in self._callbacks.callbacks:
            self._callbacks.callbacks.remove(callback)

    @property
    def alert_callbacks(self) -> list[Callback]:
        """The callbacks, in the order they are called: the list itself, for code that appends to it."""
        return self._callbacks.callbacks

    def wait_for_callbacks(self, timeout_s: float = 5.0) -> bool:
        """Whether all callbacks have returned within ``timeout_s`` seconds, as before the program ends."""
        return self._callbacks.wait(timeout_s)

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as it was given. A copy."""
        return dict(self._given_config)

    @property
    def dropped(self) -> dict[str, int]:
        """What could not be used so far, by reason; empty when all is well."""
        parts = (self._tasks.dropped, self._sayings.dropped, self._callbacks.dropped, self._hooks.dropped)
        found = {reason: n for part in parts for reason, n in part.items()} | self._host.counters()
        if state.said.folded:
            found["names_folded"] = state.said.folded
        return found

    def __repr__(self) -> str:
        where = self._endpoint or "in this process"
        return f"<{type(self).__name__}: {where}, {'monitoring' if self.monitoring_active else 'not monitoring'}>"

    def _open_host(self) -> Host:
        if self._endpoint is not None:
            return Remote(self._endpoint, _weakly(self._on_event))
        return Embedded(self._config, _weakly(self._on_event))

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if self._callbacks.callbacks:
            self._callbacks.tell(alert_of(event["alert"]))

    def after_fork_in_child(self) -> None:
        """Begin anew in a forked child; called by itself."""
        was_active = self._loop is not None
        self._lock = threading.RLock()
        self._tasks.after_fork_in_child()
        self._callbacks.after_fork_in_child()
        self._loop = None
        self._host = self._open_host()
        for name, (_, body) in self._profiles.items():
            self._host.register(canonical(name), body)
        if was_active:
            self.start_monitoring()


def _name(agent_name: object) -> str:
    return canonical(agent_name) if isinstance(agent_name, str) and agent_name else UNKNOWN_AGENT


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """``method`` without keeping its object: does nothing once that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        found = reference()
        if found is not None:
            found(*arguments)

    return call
