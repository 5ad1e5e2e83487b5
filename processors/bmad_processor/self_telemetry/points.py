"""From what parts count to points of the table.

The input is the collector's status (`/api/v1/status`): counters by part and name, as JSON has them. A counter that no
row of the table is for comes out under its part's ``_counts`` with its name as ``reason``: nothing that is counted is
invisible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bmad_processor.export.families import Buckets
from bmad_processor.model import Signal

from .table import ITEMS, TABLE, Metric

Labels = tuple[tuple[str, str], ...]
Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One number of one metric, or the buckets of a histogram."""

    metric: Metric
    labels: Labels
    value: float | Buckets


_ENGINE_NOW: Final = frozenset(
    {"partitions", "owners", "agents", "hosts", "series", "bytes", "removed_partitions_pending"}
)
"""Counters of the engine that are sizes and not losses."""

_EXPORTER_NOW: Final = {
    "queue_size": "otelcol_exporter_queue_size",
    "queue_capacity": "otelcol_exporter_queue_capacity",
    "in_flight_requests": "otelcol_exporter_in_flight_requests",
    "queue_bytes": "bmad_exporter_queue_bytes",
    "queue_requests": "bmad_exporter_queue_requests",
}


def points_of(status: Status) -> Iterator[Point]:
    """Every point of a status, in the order of parts."""
    yield from _receivers(status)
    yield from _intake(status)
    yield from _processors(status)
    yield from _engine(status)
    yield from _exporters(status)
    yield from _process(status)


def _point(name: str, value: object, *labels: tuple[str, str]) -> Iterator[Point]:
    if isinstance(value, int | float):
        metric = TABLE[name]
        assert tuple(label for label, _ in labels) == metric.labels, name
        yield Point(metric, labels, float(value))


def _histogram(name: str, value: Mapping[str, Any], *labels: tuple[str, str]) -> Iterator[Point]:
    counts = tuple(map(int, value["counts"]))
    yield Point(TABLE[name], labels, Buckets(tuple(map(float, value["bounds"])), counts, float(value["sum"])))


def _named(status: Status, section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, counters in (status.get(section) or {}).items():
        if isinstance(counters, Mapping):
            yield str(name), counters


def _signal_of(counter: str, prefix: str) -> Signal | None:
    rest = counter.removeprefix(prefix)
    return Signal(rest) if rest != counter and rest in set(Signal) else None


_OF_RECEIVERS: Final = {
    "accepted_": "otelcol_receiver_accepted", "refused_": "otelcol_receiver_refused",
    "failed_": "otelcol_receiver_failed",
}  # fmt: skip
_OF_EXPORTERS: Final = {
    "sent_": "otelcol_exporter_sent", "send_failed_": "otelcol_exporter_send_failed",
    "enqueue_failed_": "otelcol_exporter_enqueue_failed",
}  # fmt: skip


def _by_signal(counter: str, stems: Mapping[str, str]) -> str | None:
    """The metric of a counter such as ``accepted_traces``; None when it is no such counter."""
    for prefix, stem in stems.items():
        signal = _signal_of(counter, prefix)
        if signal is not None:
            return f"{stem}_{ITEMS[signal][0]}"
    return None


def _receivers(status: Status) -> Iterator[Point]:
    for section in ("receivers", "pipelines"):
        for name, counters in _named(status, section):
            receiver, _, transport = name.rpartition("/")
            labels = (("receiver", receiver), ("transport", transport))
            for counter, n in counters.items():
                metric = _by_signal(counter, _OF_RECEIVERS)
                if metric is not None:
                    yield from _point(metric, n, *labels)
                elif (signal := _signal_of(counter, "rejected_")) is not None:
                    yield from _point("bmad_receiver_rejected_items", n, *labels, ("otel_signal", signal))
                elif section == "receivers" and counter.startswith("refused_"):
                    code = counter.removeprefix("refused_")
                    yield from _point("bmad_receiver_refused_requests", n, *labels, ("code", code))
                else:
                    yield from _point("bmad_receiver_counts", n, *labels, ("reason", counter))
    for name, requests in _named(status, "requests"):
        receiver, _, transport = name.rpartition("/")
        labels = (("receiver", receiver), ("transport", transport))
        for outcome in ("success", "refused", "failure"):
            yield from _point("otelcol_receiver_requests", requests.get(outcome), *labels, ("outcome", outcome))
        yield from _histogram("bmad_receiver_request_duration", requests["duration_s"], *labels)
        yield from _histogram("bmad_receiver_request_size", requests["size_bytes"], *labels)


def _intake(status: Status) -> Iterator[Point]:
    of_pipelines = {counter for _, counters in _named(status, "pipelines") for counter in counters}
    for counter, n in (status.get("intake") or {}).items():
        if counter not in of_pipelines:  # the same, of all receivers together
            yield from _point("bmad_intake_counts", n, ("reason", counter))
    memory = status.get("memory") or {}
    yield from _point("bmad_memory_in_hand", memory.get("in_hand_bytes"))
    yield from _point("bmad_memory_in_hand_limit", memory.get("in_hand_limit_bytes"))
    yield from _point("bmad_memory_in_hand_refused", memory.get("in_hand_refused"))


_OF_LIMITER: Final = {
    "pressure": "bmad_memory_limiter_pressure", "limit_bytes": "bmad_memory_limiter_limit",
    "soft_limit_bytes": "bmad_memory_limiter_soft_limit", "collections": "bmad_memory_limiter_collections",
}  # fmt: skip


def _processors(status: Status) -> Iterator[Point]:
    for name, counters in _named(status, "processors"):
        of = ("processor", name)
        for counter, n in counters.items():
            if counter in _OF_LIMITER:
                yield from _point(_OF_LIMITER[counter], n, of)
            elif counter in ("soft_limited", "hard_limited"):
                yield from _point("bmad_memory_limiter_exceeded", n, of, ("limit", counter.partition("_")[0]))
            elif (signal := _signal_of(counter, "refused_requests_")) is not None:
                yield from _point("otelcol_processor_refused_requests", n, of, ("otel_signal", signal))
    passed: dict[tuple[str, Signal], int] = {}
    through = status.get("processors_of") or {}
    for name, counters in _named(status, "pipelines"):
        for signal in Signal:
            for processor in (through.get(name) or {}).get(signal) or ():
                key = (processor, signal)
                passed[key] = passed.get(key, 0) + int(counters.get(f"accepted_{signal}", 0))
    for (processor, signal), n in passed.items():
        labels = (("processor", processor), ("otel_signal", str(signal)))
        yield from _point("otelcol_processor_incoming_items", n, *labels)
        yield from _point("otelcol_processor_outgoing_items", n, *labels)


def _engine(status: Status) -> Iterator[Point]:
    for counter, n in (status.get("engine") or {}).items():
        if counter == "partitions":
            yield from _point("bmad_engine_partitions", n)
        elif counter == "dropped_history_points":
            yield from _point("bmad_engine_dropped_history", n)
        elif counter in _ENGINE_NOW or counter.endswith(("_s", "_bytes", "_ratio")):
            yield from _point("bmad_engine_state", n, ("name", counter))
        else:
            yield from _point("bmad_engine_samples_not_used", n, ("reason", counter))
    commits, store = status.get("commits") or {}, status.get("store") or {}
    if "duration_s" in commits:
        yield from _histogram("bmad_commit_duration", commits["duration_s"])
    yield from _point("bmad_commit_failures", commits.get("failed"))
    yield from _point("bmad_notification_log_unsent", store.get("unsent_events"))
    announcer, profiles = status.get("announcer") or {}, status.get("profiles") or {}
    yield from _point("bmad_announcer_undelivered_events", announcer.get("undelivered_events"))
    yield from _point("bmad_announcer_dropped_gauge_points", announcer.get("dropped_gauge_points"))
    yield from _point("bmad_profiles_reloads", profiles.get("reloads"))
    if "problems" in profiles:
        yield from _point("bmad_profiles_problems", len(profiles["problems"]))


def _exporters(status: Status) -> Iterator[Point]:
    for name, counters in _named(status, "exporters"):
        of = ("exporter", name)
        for counter, n in counters.items():
            metric = _by_signal(counter, _OF_EXPORTERS) or _EXPORTER_NOW.get(counter)
            if metric is not None:
                yield from _point(metric, n, of)
            else:
                yield from _point("bmad_exporter_counts", n, of, ("reason", counter))

    for name, joined in _named(status, "joined"):
        yield from _histogram("bmad_exporter_joined_requests", joined, ("exporter", name))


def _process(status: Status) -> Iterator[Point]:
    yield from _point("otelcol_process_uptime", status.get("uptime_s"))
    process = status.get("process") or {}
    yield from _point("otelcol_process_cpu_seconds", process.get("cpu_s"))
    yield from _point("otelcol_process_memory_rss", process.get("rss_bytes"))
    yield from _point("bmad_log_lines_left_out", process.get("log_lines_left_out"))
    for generation, stats in enumerate(process.get("gc") or ()):
        yield from _point("bmad_python_gc_collections", stats.get("collections"), ("generation", str(generation)))
        yield from _point("bmad_python_gc_collected", stats.get("collected"), ("generation", str(generation)))
    for name, counters in _named(status, "extensions"):
        for counter, n in counters.items():
            yield from _point("bmad_extension_counts", n, ("extension", name), ("reason", counter))
    health = status.get("health") or {}
    if "is_ready" in health:
        yield from _point("bmad_health_ready", int(bool(health["is_ready"])))
    for trouble in health.get("troubles") or ():
        labels = (("component", str(trouble["component"])), ("reason", str(trouble["reason"])))
        yield from _point("bmad_health_trouble", 1, *labels)
