"""OpenTelemetry instruments under the names a program chooses while it runs."""

from __future__ import annotations

import re
import threading
from typing import Any, Final

from opentelemetry import metrics

from bmad_otel import semconv
from bmad_otel._version import __version__
from bmad_otel.compat._collected import Kind, Labels

_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9_.\-/]")
_MAX_TOTALS: Final = 10_000  # sets of labels whose total is remembered; the one unchanged for longest goes first
_MAX_NAME: Final = 255  # characters, by OpenTelemetry's specification


class Instruments:
    """One instrument for each name and kind, made when it is first needed.

    As many as a `MetricsCollector` has names; how many sets of attributes each keeps is bounded by the SDK.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, Kind], Any] = {}
        self._totals: dict[tuple[str, Labels], float] = {}

    def after_fork_in_child(self) -> None:
        """A lock of its own for a forked child."""
        self._lock = threading.Lock()

    def record(self, name: str, kind: Kind, value: float, labels: Labels, unit: str) -> None:
        """Hand one value on. A total so far is told as what it grew by: a counter takes additions only."""
        instrument = self._made.get((name, kind)) or self._make(name, kind, unit)
        attributes = dict(labels)
        match kind:
            case Kind.COUNTER:
                instrument.add(value, attributes)
            case Kind.TOTAL:
                instrument.add(self._growth(name, labels, value), attributes)
            case Kind.HISTOGRAM:
                instrument.record(value, attributes)
            case Kind.GAUGE:
                instrument.set(value, attributes)

    def _growth(self, name: str, labels: Labels, total: float) -> float:
        with self._lock:
            before = self._totals.pop((name, labels), 0.0)
            if len(self._totals) >= _MAX_TOTALS:
                del self._totals[next(iter(self._totals))]
            self._totals[name, labels] = total
        # a smaller total than before is one that has begun anew
        return total - before if total >= before else max(0.0, total)

    def _make(self, name: str, kind: Kind, unit: str) -> Any:
        meter = metrics.get_meter(f"{semconv.SCOPE_NAME}.compat", __version__)
        safe = _NOT_IN_NAME.sub("_", name)[:_MAX_NAME]
        if not safe[:1].isalpha():
            safe = f"x{safe}"[:_MAX_NAME]
        with self._lock:
            made = self._made.get((name, kind))
            if made is None:
                match kind:
                    case Kind.HISTOGRAM:
                        made = meter.create_histogram(safe, unit)
                    case Kind.GAUGE:
                        made = meter.create_gauge(safe, unit)
                    case Kind.COUNTER | Kind.TOTAL:
                        made = meter.create_counter(safe, unit)
                self._made[name, kind] = made
            return made
