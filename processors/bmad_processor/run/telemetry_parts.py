"""What the configuration asks the collector to say about itself, as parts: pages, pushes and the health check."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bmad_processor.emit import build_exporter
from bmad_processor.emit.request import ExportRequest
from bmad_processor.errors import StartError
from bmad_processor.export.families import Family
from bmad_processor.model import Signal
from bmad_processor.receive import AsgiServer
from bmad_processor.self_telemetry import (
    Health,
    HealthCheckConfig,
    Identity,
    MetricsLevel,
    Naming,
    Point,
    TelemetryConfig,
    encode,
    families_of,
    points_of,
    scraped,
)
from bmad_processor.self_telemetry.config import PeriodicConfig, PrometheusConfig, ReaderConfig
from bmad_processor.self_telemetry.table import Kind

from .part import Part, Wanted
from .telemetry_pages import health_pages, metrics_pages

_LOG: Final = logging.getLogger("bmad_otel.collector")

_DEFAULT: Final = PrometheusConfig(without_type_suffix=True, without_units=True)
"""The reader that nobody configured, as the Collector has it."""


@dataclass(frozen=True, slots=True)
class SelfTelemetry:
    """What the collector knows of itself, ready to be shown. ``status`` may be called from any thread."""

    status: Callable[[], dict[str, Any]]
    identity: Identity
    level: MetricsLevel = "normal"

    def points(self) -> list[Point]:
        """Everything of the level."""
        return [point for point in points_of(self.status()) if self._is_shown(point)]

    def families(self, naming: Naming = Naming.BARE) -> list[Family]:
        """The same for Prometheus, with `target_info`."""
        labels = tuple((name.replace(".", "_"), value) for name, value in self.identity.attributes().items())
        target = Family("target_info", "Target metadata", samples={labels: 1.0})
        return [target, *families_of(self.points(), naming)]

    def _is_shown(self, point: Point) -> bool:
        match self.level:
            case "none":
                return False
            case "basic":
                return point.metric.name.startswith("otelcol_")
            case "normal":
                return point.metric.kind is not Kind.HISTOGRAM
            case "detailed":
                return True


class MetricsPage:
    """Serves `/metrics`. One that nobody asked for does without when its port is taken."""

    def __init__(self, config: PrometheusConfig, telemetry: SelfTelemetry, *, is_optional: bool) -> None:
        naming = Naming.BARE if config.without_type_suffix else Naming.SUFFIXED

        def scrape(accept: str) -> tuple[bytes, str]:
            return scraped(telemetry.families(naming), accept)

        self._config = config
        self._is_optional = is_optional
        self.notice = ""
        """What is to be said once everything else has started: when something has not, that alone is said."""
        self._server: AsgiServer | None = AsgiServer(metrics_pages(scrape), config.endpoint, name="telemetry")

    @property
    def endpoint(self) -> str | None:
        """Where it listens; None when it does not."""
        return None if self._server is None else self._server.endpoint

    def start(self) -> None:
        """Raises StartError when a configured address is taken."""
        assert self._server is not None, "started once"
        try:
            self._server.start()
        except StartError:
            if not self._is_optional:
                raise
            self._server = None
            self.notice = (
                f"no metrics page: {self._config.endpoint} is taken (service::telemetry::metrics sets another)"
            )

    def stop(self, timeout_s: float) -> None:
        """Safe to call twice."""
        if self._server is not None:
            self._server.stop(timeout_s)


class MetricsPush:
    """Sends points to an OTLP backend from time to time, and once more at the end."""

    def __init__(self, config: PeriodicConfig, telemetry: SelfTelemetry) -> None:
        self._telemetry = telemetry
        self._interval_s = config.interval / 1e9
        self._exporter = build_exporter("telemetry/otlp", "otlp", config.exporter.otlp.exporter())
        self._start_ns = time.time_ns()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry-push", daemon=True)

    def start(self) -> None:
        """Raises StartError for a backend that cannot be."""
        self._exporter.start()
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Safe to call twice, and when `start` failed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._exporter.stop(timeout_s)

    def counters(self) -> dict[str, int]:
        """Of its own exporter, so that nobody takes it for the user's telemetry."""
        counted = self._exporter.counters()
        return {name: counted[name] for name in ("sent_items", "failed_requests") if name in counted}

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._interval_s)
            try:
                self._send()
            except Exception:  # noqa: BLE001 - a thread has nobody above it, and the next time may succeed
                _LOG.exception("the collector's own metrics could not be sent")

    def _send(self) -> None:
        points = self._telemetry.points()
        body, n_points = encode(points, self._telemetry.identity, start_ns=self._start_ns, now_ns=time.time_ns())
        if n_points:
            # no room: left out, the next ones say all of it again
            self._exporter.offer(ExportRequest(Signal.METRICS, body, n_points))


def wanted_telemetry(
    config: TelemetryConfig, status: Callable[[], dict[str, Any]], identity: Identity
) -> Iterator[Wanted[Part]]:
    """One part for each reader."""
    level = config.metrics.level
    if level == "none":
        return
    telemetry = SelfTelemetry(status, identity, level)
    readers = config.metrics.readers
    if readers is None:
        yield _want_page("telemetry/prometheus", _DEFAULT, telemetry, is_optional=True)
        return
    for position, reader in enumerate(readers):
        suffix = f"/{position}" if len(readers) > 1 else ""
        yield _want_reader(reader, suffix, telemetry)


def _want_reader(reader: ReaderConfig, suffix: str, telemetry: SelfTelemetry) -> Wanted[Part]:
    if reader.pull is not None:
        prometheus = reader.pull.exporter.prometheus
        return _want_page(f"telemetry/prometheus{suffix}", prometheus, telemetry, is_optional=False)
    periodic = reader.periodic
    assert periodic is not None, "a reader is one of two"
    return Wanted(f"telemetry/otlp{suffix}", (periodic, telemetry.level), lambda: MetricsPush(periodic, telemetry))


def _want_page(name: str, config: PrometheusConfig, telemetry: SelfTelemetry, *, is_optional: bool) -> Wanted[Part]:
    return Wanted(
        name,
        (config, telemetry.level, is_optional),
        lambda: MetricsPage(config, telemetry, is_optional=is_optional),
        # one that may do without its port does not make another's address a clash
        "" if is_optional else config.endpoint,
    )


def want_health_check(name: str, config: HealthCheckConfig, health: Callable[[], Health]) -> Wanted[Part]:
    """The server of the `health_check` extension."""

    def build() -> AsgiServer:
        return AsgiServer(health_pages(config, health), config.endpoint, name="health")

    return Wanted(name, (config,), build, config.endpoint)
