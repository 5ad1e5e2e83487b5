"""Says what was decided: events and hints to the console and as OTLP logs, gauges as OTLP metrics.

An event counts as said when at least one exporter delivered it (or when there is none to deliver to). One that nobody
delivered is offered again every `RETRY_S`, and after a restart from the notification log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from bmad_otel import semconv
from bmad_processor import baseline, window
from bmad_processor.alert import Status
from bmad_processor.emit import ConsoleWriter, GaugeRow, encode_events, encode_gauges, partition_attributes
from bmad_processor.emit.request import Exporter, ExportRequest
from bmad_processor.errors import StoreError
from bmad_processor.model import AlertEvent, ScalingHint, Signal
from bmad_processor.pricing import Prices
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState, Partition
from bmad_processor.store import Store

from .cost_gauges import TokenRow, priced, token_rows

_LOG: Final = logging.getLogger("bmad_otel.collector")

RETRY_S: Final = 30.0
"""Between two rounds for events that no exporter delivered: each round has the exporters' own retries inside."""

_MAX_WAITING: Final = 1000
"""Undelivered events kept in memory; the rest waits in the notification log for the next start."""

_ROWS_PER_REQUEST: Final = 2000
"""About 300 kB a request, well below every receiver's limit."""


class _Delivery:
    """Waits for the outcome of one request at every exporter."""

    def __init__(self, events: Sequence[AlertEvent], n_exporters: int, settle: Callable[..., None]) -> None:
        self._events = events
        self._left = n_exporters
        self._is_delivered = False
        self._settle = settle
        self._lock = threading.Lock()

    def done(self, is_delivered: bool) -> None:
        with self._lock:
            self._left -= 1
            self._is_delivered |= is_delivered
            is_last = self._left == 0
        if is_last:
            self._settle(self._events, is_delivered=self._is_delivered)


class Announcer:
    """Thread-safe. ``events_to`` and ``gauges_to`` are the exporters of logs and of metrics."""

    def __init__(
        self,
        store: Store,
        *,
        events_to: Sequence[Exporter],
        gauges_to: Sequence[Exporter],
        console: ConsoleWriter | None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._events_to = tuple(events_to)
        self._gauges_to = tuple(gauges_to)
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._undelivered: list[AlertEvent] = []
        self._retry_at_s = 0.0
        self._gauges_until_ns = 0
        self._n_dropped_gauges = 0
        self._prices = Prices()

    def send_to(self, *, events_to: Sequence[Exporter], gauges_to: Sequence[Exporter]) -> None:
        """Other exporters from now on. Events on their way are settled by those that have them."""
        self._events_to, self._gauges_to = tuple(events_to), tuple(gauges_to)

    def announce(self, events: Sequence[AlertEvent], hints: Sequence[ScalingHint]) -> None:
        """Console first, since it cannot fail; then the exporters."""
        if self._console is not None:
            self._console.write(events, hints)
        self._send(events, hints)

    def _send(self, events: Sequence[AlertEvent], hints: Sequence[ScalingHint]) -> None:
        exporters = self._events_to  # once: a reload may put others there
        if not exporters:
            self._settle(events, is_delivered=True)
            return
        body = encode_events(events, hints)
        delivery = _Delivery(events, len(exporters), self._settle)
        request = ExportRequest(Signal.LOGS, body, len(events) + len(hints), delivery.done, is_urgent=True)
        for exporter in exporters:
            if not exporter.offer(request):
                delivery.done(False)

    def _settle(self, events: Sequence[AlertEvent], *, is_delivered: bool) -> None:
        if not events:
            return
        if is_delivered:
            try:
                self._store.mark_sent([event.event_id for event in events], self._clock())
            except StoreError as error:
                _LOG.error("delivered events could not be marked and will be sent again at the next start: %s", error)
            return
        with self._lock:
            room = max(0, _MAX_WAITING - len(self._undelivered))
            self._undelivered += events[:room]
            self._retry_at_s = time.monotonic() + RETRY_S

    def retry(self) -> None:
        """Offers undelivered events again when it is time. Called regularly."""
        with self._lock:
            if not self._undelivered or time.monotonic() < self._retry_at_s:
                return
            events, self._undelivered = self._undelivered, []
        self._send(events, ())

    def wants_gauges(self, state: EngineState, settings: EngineSettings) -> bool:
        """Whether a pane was closed since the last gauges. Called with the engine's lock held."""
        until_ns = window.closed_until(state, settings)
        if not self._gauges_to or until_ns <= self._gauges_until_ns or not state.partitions:
            return False
        self._gauges_until_ns = until_ns
        return True

    def gauges(self, partitions: Iterable[Partition], settings: EngineSettings) -> list[GaugeRow | TokenRow]:
        """Rows of these agents and hosts. Called with the engine's lock held."""
        rows: list[GaugeRow | TokenRow] = []
        for partition in partitions:
            rows += gauge_rows(partition, settings)
            rows += token_rows(partition)
        return rows

    def send_gauges(self, rows: Iterable[GaugeRow | TokenRow]) -> None:
        """As OTLP metrics, at the time of the pane end they describe. No room: left out, the next ones come soon."""
        left = priced(rows, self._prices)
        while part := list(islice(left, _ROWS_PER_REQUEST)):
            request = ExportRequest(Signal.METRICS, encode_gauges(part, self._gauges_until_ns), len(part))
            for exporter in self._gauges_to:
                if not exporter.offer(request):
                    with self._lock:
                        self._n_dropped_gauges += len(part)

    def counters(self) -> dict[str, int]:
        """``undelivered_events`` waiting in memory and ``dropped_gauge_points``."""
        with self._lock:
            return {"undelivered_events": len(self._undelivered), "dropped_gauge_points": self._n_dropped_gauges}


def gauge_rows(partition: Partition, settings: EngineSettings) -> Iterable[GaugeRow]:
    """Baselines that are warm, alerts (0 once a series had one), and the scaling advice."""
    attributes = partition_attributes(partition.key)
    for name, learned in partition.baselines.items():
        if baseline.is_warm(learned, warmup=settings.warmup):
            yield GaugeRow(semconv.BASELINE, learned.mean, {**attributes, semconv.METRIC_TYPE: name})
    for name, condition in partition.conditions.items():
        level = condition.level if condition.status == Status.FIRING and condition.level is not None else 0
        yield GaugeRow(semconv.ALERT_ACTIVE, float(level), {**attributes, semconv.METRIC_TYPE: name})
    if partition.scaling.desired:
        yield GaugeRow(semconv.CURRENT_INSTANCES, float(partition.scaling.current), attributes)
        yield GaugeRow(semconv.DESIRED_INSTANCES, float(partition.scaling.desired), attributes)
