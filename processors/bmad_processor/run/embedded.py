"""An engine inside the agent's own process: the same engine, decoder and answers as the collector's, all in memory.

Standard library, protobuf and OpenTelemetry's API only: this is what `bmad_otel.monitor` runs on without any extra.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from bmad_processor import agenda, engine
from bmad_processor.decode import Decoder
from bmad_processor.model import (
    Alert,
    AlertEvent,
    AlertStatus,
    Batch,
    HistoryPoint,
    Level,
    Outputs,
    PartitionKey,
    Signal,
    Step,
)
from bmad_processor.read_model import ReadModel, answer
from bmad_processor.settings import HOST_AGENT, EngineSettings, Profile, Profiles
from bmad_processor.state import EngineState, Partition
from bmad_processor.store import alert_to_dict, event_to_dict, hint_to_dict
from bmad_processor.summary import agent_label

MAX_HINT_LOG: Final = 1000
"""Changes of scaling advice kept over all partitions, as in the store."""

Listener = Callable[[Mapping[str, Any]], None]
"""Told every alert event in the form of `store.event_to_dict`, in order, with no lock of the host held."""


class EmbeddedHost:
    """Owns one engine. Thread-safe; after a fork the child makes a new one.

    Memory: 24 bytes for each point of history, ``history_size`` points for each series; about 2 kB for each of at most
    ``max_alerts`` alerts; and what the engine keeps, which `EngineSettings` bounds. Time that passed without a batch
    is caught up by the next one: an agent rests after the minutes in which something of it can still change, so that
    costs tens of judgements per agent, however long it was.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        history_size: int = 1000,
        max_alerts: int = 1000,
        clock: Callable[[], int] = time.time_ns,
        listener: Listener | None = None,
    ) -> None:
        """``clock`` gives nanoseconds since the epoch."""
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._saying = threading.RLock()  # a listener may ask, or feed
        self._unsaid: deque[AlertEvent] = deque()
        self._decoder = Decoder(interval_ns=settings.interval_ns)
        self._state = EngineState()
        self._memory = _Memory(history_size, max_alerts, started_ns=clock())
        self._model = ReadModel(self, now_ns=clock)

    @property
    def settings(self) -> EngineSettings:
        """The settings in force."""
        return self._settings

    def take(self, body: bytes, time_ns: int | None = None) -> None:
        """One ExportMetricsServiceRequest, as it would come over the wire. Raises Malformed for anything else.

        ``time_ns`` is when it was made, which is when it arrives in the same process; by default now.
        """
        with self._lock:
            decoded = self._decoder.decode(Signal.METRICS, body)
            for reason, n in decoded.dropped.items():
                self._state.count(reason, n)
            self._step(Batch(self._clock() if time_ns is None else time_ns, decoded.samples))
        self._say()

    def tick(self, time_ns: int | None = None) -> None:
        """Judge what has become due by ``time_ns``, by default now."""
        with self._lock:
            self._step(Batch(self._clock() if time_ns is None else time_ns))
        self._say()

    def answer(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """What the API says at ``path`` (without ``/api/v1/``). Raises Unanswerable."""
        return answer(self._model, path, params)

    def set_profiles(self, change: Callable[[Profiles], Profiles]) -> None:
        """Judge by ``change`` of the profiles in force, from the next pane on. What was learned stays."""
        with self._lock:
            self._settings = replace(self._settings, profiles=change(self._settings.profiles))

    def set_profile(self, profile: Profile) -> None:
        """Judge one agent by ``profile``, which is complete, from the next pane on."""
        self.set_profiles(lambda profiles: replace(profiles, by_agent={**profiles.by_agent, profile.agent: profile}))

    def set_interval(self, interval_ns: int) -> None:
        """Judge every ``interval_ns`` from now on; the evaluation window becomes the next whole number of them."""
        with self._lock:
            if interval_ns == self._settings.interval_ns:
                return
            window_ns = -(-self._settings.window_ns // interval_ns) * interval_ns
            self._settings = replace(self._settings, interval_ns=interval_ns, window_ns=window_ns)
            # pane ends lie on another grid now; panes that are there stay as long as they are
            agenda.rebuild(self._state, self._settings)

    @contextmanager
    def snapshot(self) -> Iterator[LiveSnapshot]:
        """The state as it stands, which nobody changes while the context lasts."""
        with self._lock:
            yield LiveSnapshot(self._state, self._settings, self._memory)

    def _step(self, batch: Batch) -> None:
        """Called with the lock held."""
        step = engine.step(self._state, batch, self._settings)
        self._memory.keep(step)
        if self._listener is not None:
            self._unsaid.extend(step.outputs.events)

    def _say(self) -> None:
        if self._listener is None:
            return
        with self._saying:  # one at a time, so that what fired is said before it resolves
            while self._unsaid:
                self._listener(event_to_dict(self._unsaid.popleft()))


def summary_without_data(profile: Profile, now_ns: int, params: Mapping[str, str]) -> dict[str, Any]:
    """The summary of an agent that has a profile and has never been heard of: the keys of every other one."""
    settings = EngineSettings(profiles=Profiles(by_agent={profile.agent: profile}))
    host = EmbeddedHost(settings, clock=lambda: now_ns)
    key = PartitionKey("host" if profile.agent == HOST_AGENT else "agent", "", profile.agent)
    host._state.partitions[str(key)] = Partition(key, now_ns, now_ns)
    summary = host.answer(f"agents/{profile.agent}", params)
    return summary | {"first_seen": None, "last_seen": None, "age_s": None, "is_active": False}


class _Memory:
    """What the collector keeps in its store: alerts, history and scaling advice, each bounded."""

    def __init__(self, history_size: int, max_alerts: int, *, started_ns: int) -> None:
        self.started_ns = started_ns
        self.alerts: dict[str, Alert] = {}
        """By id, the one that changed last at the end."""
        self.rings: dict[str, dict[str, _Ring]] = {}
        """By partition and metric type."""
        self.hints: dict[str, dict[str, Any]] = {}
        self.hint_log: deque[dict[str, Any]] = deque(maxlen=MAX_HINT_LOG)
        self._history_size = history_size
        self._max_alerts = max_alerts

    def keep(self, step: Step) -> None:
        """After a step: everything it put out."""
        for name in step.removed:
            self.rings.pop(name, None)
            self.hints.pop(name, None)
        outputs: Outputs = step.outputs
        for alert in outputs.alerts:
            self.alerts.pop(alert.alert_id, None)
            self.alerts[alert.alert_id] = alert
        while len(self.alerts) > self._max_alerts:
            del self.alerts[min(self.alerts.values(), key=_oldest_resolved_first).alert_id]
        for point in outputs.history:
            self._keep_point(point)
        for hint in outputs.hints:
            found = self.hints[str(hint.key)] = hint_to_dict(hint)
            self.hint_log.appendleft(found)

    def _keep_point(self, point: HistoryPoint) -> None:
        rings = self.rings.setdefault(str(point.key), {})
        ring = rings.get(point.metric_type)
        if ring is None:
            ring = rings[point.metric_type] = _Ring(self._history_size)
        ring.add(point.time_ns, point.value, point.n)


def _oldest_resolved_first(alert: Alert) -> tuple[bool, int]:
    return alert.status is AlertStatus.FIRING, alert.started_ns if alert.resolved_ns is None else alert.resolved_ns


class _Ring:
    """The newest points of one series, 24 bytes each; it grows with the points it has."""

    __slots__ = ("_n", "_next", "_size", "_time_ns", "_value")

    def __init__(self, size: int) -> None:
        self._size = size
        self._next = 0
        self._time_ns = array("q")
        self._value = array("d")
        self._n = array("q")

    def add(self, time_ns: int, value: float, n: int) -> None:
        if len(self._value) < self._size:
            self._time_ns.append(time_ns)
            self._value.append(value)
            self._n.append(n)
            return
        at = self._next
        self._time_ns[at], self._value[at], self._n[at] = time_ns, value, n
        self._next = (at + 1) % self._size

    def newest(self, limit: int) -> list[tuple[int, float, int]]:
        """Oldest first."""
        size = len(self._value)
        first = max(0, size - limit)
        places = ((self._next + i) % size for i in range(first, size))
        return [(self._time_ns[at], self._value[at], self._n[at]) for at in places]


class LiveSnapshot:
    """The state of an engine in this process, as `store.contract.Snapshot` has it. The host's lock is held."""

    def __init__(self, state: EngineState, settings: EngineSettings, memory: _Memory) -> None:
        self._state = state
        self._settings = settings
        self._memory = memory

    def settings(self) -> EngineSettings:
        """The settings in force."""
        return self._settings

    def started_ns(self) -> int | None:
        """When the host was made."""
        return self._memory.started_ns

    def now_ns(self) -> int:
        """The engine's clock, 0 before the first batch."""
        return self._state.now_ns

    def counters(self) -> dict[str, int]:
        """What the engine and the decoder did not use, by reason."""
        return dict(self._state.counters)

    def partition_keys(self) -> list[str]:
        """Keys of all partitions."""
        return sorted(self._state.partitions)

    def partition(self, key: str) -> Partition | None:
        """One partition, the very object the engine works on: not to be changed, nor kept after the snapshot."""
        return self._state.partitions.get(key)

    def partitions(self) -> list[Partition]:
        """All partitions, by key."""
        return [partition for _, partition in sorted(self._state.partitions.items())]

    def alerts(
        self,
        *,
        partition_key: str | None = None,
        agent_name: str | None = None,
        level: Level | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Alerts in the form of `alert_to_dict`: firing ones first, then the newest."""
        found = [
            alert
            for alert in reversed(self._memory.alerts.values())
            if (partition_key is None or str(alert.key) == partition_key)
            and (agent_name is None or agent_label(alert.key) == agent_name)
            and level in (None, alert.level)
            and status in (None, alert.status.value)
        ]
        found.sort(key=lambda alert: (alert.status is AlertStatus.RESOLVED, -alert.started_ns))
        return [alert_to_dict(alert) for alert in found[:limit]]

    def has_alerts(self, agent_name: str) -> bool:
        """Whether an alert of this agent is kept; it may outlive the agent."""
        return any(agent_label(alert.key) == agent_name for alert in self._memory.alerts.values())

    def history(self, partition_key: str, metric_type: str, limit: int) -> list[tuple[int, float, int]]:
        """The newest ``limit`` points as (time_ns, value in base units, n), oldest first."""
        ring = self._memory.rings.get(partition_key, {}).get(metric_type)
        return [] if ring is None else ring.newest(limit)

    def metric_types(self, partition_key: str) -> list[str]:
        """Metric types with history."""
        return sorted(self._memory.rings.get(partition_key, ()))

    def hints(self) -> list[dict[str, Any]]:
        """The latest advice per partition."""
        return [hint for _, hint in sorted(self._memory.hints.items())]

    def hint_log(self, limit: int) -> list[dict[str, Any]]:
        """Changes of advice, newest first."""
        return list(self._memory.hint_log)[:limit]
