"""Every metric the collector has about itself, once: name, kind, unit, labels, meaning.

Names that begin with ``otelcol_`` are the OpenTelemetry Collector's, with its units and meanings, so that dashboards
and alert rules made for it work. Names that begin with ``bmad_`` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bmad_processor.model import Signal


class Kind(StrEnum):
    """What a number is."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"
    """What is true now."""
    HISTOGRAM = "histogram"
    """How values are distributed since the start of the process."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    """As OTLP and the bare Prometheus form have it."""
    kind: Kind
    unit: str
    """UCUM."""
    labels: tuple[str, ...]
    description: str


ITEMS: Final = MappingProxyType(
    {Signal.TRACES: ("spans", "{span}"), Signal.METRICS: ("metric_points", "{datapoint}"),
     Signal.LOGS: ("log_records", "{record}")}
)  # fmt: skip
"""What the Collector calls the items of a signal, and their unit."""

_WORDS: Final = {"spans": "spans", "metric_points": "metric points", "log_records": "log records"}

_OF_RECEIVERS: Final = ("receiver", "transport")
_OF_EXPORTERS: Final = ("exporter",)


def _counters_of_items(stem: str, labels: tuple[str, ...], description: str) -> list[Metric]:
    """One counter for each signal; ``{}`` in the description is the word for its items."""
    return [
        Metric(f"{stem}_{items}", Kind.COUNTER, unit, labels, description.format(_WORDS[items]))
        for items, unit in ITEMS.values()
    ]


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

_ROWS: Final = (
    *_counters_of_items("otelcol_receiver_accepted", _OF_RECEIVERS, "Number of {} taken: queued at every exporter."),
    *_counters_of_items(
        "otelcol_receiver_refused", _OF_RECEIVERS,
        "Number of {} whose sender was told to send them again, as far as they were counted before they were refused.",
    ),
    *_counters_of_items(
        "otelcol_receiver_failed", _OF_RECEIVERS, "Number of {} that an internal error kept from being taken."
    ),
    Metric(
        "otelcol_receiver_requests", _C, "{request}", (*_OF_RECEIVERS, "outcome"),
        "Number of requests that reached the pipelines: success, refused (send again) or failure.",
    ),
    *_counters_of_items("otelcol_exporter_sent", _OF_EXPORTERS, "Number of {} delivered: the backend confirmed them."),
    *_counters_of_items(
        "otelcol_exporter_send_failed", _OF_EXPORTERS,
        "Number of {} given up: refused for good, retries exhausted, or left in memory at the end.",
    ),
    *_counters_of_items(
        "otelcol_exporter_enqueue_failed", _OF_EXPORTERS,
        "Number of {} for which there was no room; their sender was told to send them again.",
    ),
    Metric(
        "otelcol_exporter_queue_size", _G, "{batch}", _OF_EXPORTERS,
        "What is queued now, in the unit of the queue's sizer (requests, items or bytes).",
    ),
    Metric("otelcol_exporter_queue_capacity", _G, "{batch}", _OF_EXPORTERS, "What the queue takes, in the same unit."),
    Metric(
        "otelcol_exporter_in_flight_requests", _G, "{request}", _OF_EXPORTERS,
        "Export calls under way, waiting between attempts included.",
    ),
    Metric(
        "otelcol_processor_incoming_items", _C, "{item}", ("processor", "otel_signal"),
        "Number of items that passed the processor's pipelines.",
    ),
    Metric(
        "otelcol_processor_outgoing_items", _C, "{item}", ("processor", "otel_signal"),
        "Number of items the processor passed on: all of them, it drops none.",
    ),
    Metric(
        "otelcol_processor_refused_requests", _C, "{request}", ("processor", "otel_signal"),
        "Requests refused for want of memory, before they were decoded; nobody knows their items.",
    ),
    Metric("otelcol_process_uptime", _C, "s", (), "Uptime of the process."),
    Metric("otelcol_process_cpu_seconds", _C, "s", (), "Total CPU user and system time in seconds."),
    Metric("otelcol_process_memory_rss", _G, "By", (), "Total physical memory (resident set size)."),
    # ours: receiving
    Metric(
        "bmad_receiver_refused_requests", _C, "{request}", (*_OF_RECEIVERS, "code"),
        "Requests not taken, by the gRPC code or HTTP status they were answered with.",
    ),
    Metric(
        "bmad_receiver_rejected_items", _C, "{item}", (*_OF_RECEIVERS, "otel_signal"),
        "Items answered as partial success: invalid by themselves, their neighbours were taken.",
    ),
    Metric(
        "bmad_receiver_counts", _C, "{count}", (*_OF_RECEIVERS, "reason"),
        "Anything else a receiver counts, such as connections closed at once.",
    ),
    Metric(
        "bmad_receiver_request_duration", _H, "s", _OF_RECEIVERS,
        "Time from a complete request to its answer, without the network.",
    ),
    Metric("bmad_receiver_request_size", _H, "By", _OF_RECEIVERS, "Size of request bodies, decompressed."),
    Metric("bmad_intake_counts", _C, "{count}", ("reason",), "What the pipelines count, all receivers together."),
    Metric("bmad_memory_in_hand", _G, "By", (), "Request bodies being received or worked on now."),
    Metric("bmad_memory_in_hand_limit", _G, "By", (), "What request bodies may hold together."),
    Metric("bmad_memory_in_hand_refused", _C, "{request}", (), "Requests told to come back because of it."),
    # ours: memory limiter
    Metric(
        "bmad_memory_limiter_pressure", _G, "1", ("processor",),
        "0: none, 1: requests are refused, 2: caches are emptied.",
    ),
    Metric("bmad_memory_limiter_limit", _G, "By", ("processor",), "Hard limit of the resident set."),
    Metric("bmad_memory_limiter_soft_limit", _G, "By", ("processor",), "Resident set above which it refuses."),
    Metric(
        "bmad_memory_limiter_exceeded", _C, "{crossing}", ("processor", "limit"),
        "How often the soft or hard limit was crossed.",
    ),
    Metric("bmad_memory_limiter_collections", _C, "{collection}", ("processor",), "Collections of garbage it made."),
    # ours: engine
    Metric("bmad_engine_partitions", _G, "{partition}", (), "Agents and hosts whose state is kept."),
    Metric(
        "bmad_engine_samples_not_used", _C, "{sample}", ("reason",),
        "Samples the engine did not use as they came, by reason, such as late, future, or folded into overflow.",
    ),
    Metric("bmad_engine_state", _G, "1", ("name",), "Other numbers of the engine that are true now."),
    Metric("bmad_engine_dropped_history", _C, "{point}", (), "Points of history given up: the store was not writable."),
    Metric("bmad_commit_duration", _H, "s", (), "Time to write what changed to the store, one transaction each."),
    Metric("bmad_commit_failures", _C, "{commit}", (), "Transactions that could not be written and are tried again."),
    Metric(
        "bmad_notification_log_unsent", _G, "{event}", (),
        "Alert events in the store whose delivery is not confirmed, of all workers together.",
    ),
    Metric("bmad_announcer_undelivered_events", _G, "{event}", (), "Alert events that no exporter has delivered yet."),
    Metric("bmad_announcer_dropped_gauge_points", _C, "{datapoint}", (), "Points of our gauges that found no room."),
    Metric("bmad_profiles_reloads", _C, "{reload}", (), "Times changed profile files were read again."),
    Metric("bmad_profiles_problems", _G, "{problem}", (), "What is wrong with the profile files now."),
    # ours: exporters
    Metric(
        "bmad_exporter_counts", _C, "{count}", ("exporter", "reason"),
        "Everything else an exporter counts: retries, calls, failures by reason, items a backend rejected.",
    ),
    Metric(
        "bmad_exporter_joined_requests", _H, "{request}", _OF_EXPORTERS,
        "Received requests in each export call: how much joining saves.",
    ),
    Metric("bmad_exporter_queue_bytes", _G, "By", _OF_EXPORTERS, "Bytes in the queue, what is being sent included."),
    Metric("bmad_exporter_queue_requests", _G, "{request}", _OF_EXPORTERS, "Requests in the queue, likewise."),
    # ours: process
    Metric("bmad_python_gc_collections", _C, "{collection}", ("generation",), "Runs of Python's garbage collector."),
    Metric("bmad_python_gc_collected", _C, "{object}", ("generation",), "Objects it freed."),
    Metric("bmad_log_lines_left_out", _C, "{line}", (), "Repeated lines of the log that were not written."),
    Metric("bmad_extension_counts", _C, "{count}", ("extension", "reason"), "What extensions count."),
    Metric("bmad_health_ready", _G, "1", (), "1: ready for requests. 0: not, see the health endpoint."),
    Metric("bmad_health_trouble", _G, "1", ("component", "reason"), "1 for each thing that is wrong now."),
)  # fmt: skip

TABLE: Final = MappingProxyType({row.name: row for row in _ROWS})
"""By name."""
