"""The metric types of the monitor: unit, direction and how the instances of an agent combine.

Values are base units inside (ratios 0..1, seconds, bytes per second); ``display_unit`` and ``display_factor`` are what
a person reads. A value of the program's own has the type ``custom:<name>``; what an agent says of itself under the
name of a metric that is measured has the type ``reported:<name>``. The unit of both is the one they came with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Direction(StrEnum):
    """Which side of a threshold is bad."""

    HIGH_IS_BAD = "high_is_bad"
    LOW_IS_BAD = "low_is_bad"


class Combine(StrEnum):
    """How the instances of one agent (or the reporters of one host) become one value."""

    MEAN = "mean"
    SUM = "sum"


CPU_USAGE: Final = "cpu_usage"
MEMORY_USAGE: Final = "memory_usage"
DISK_IO: Final = "disk_io"
NETWORK_IO: Final = "network_io"
RESPONSE_TIME: Final = "response_time"
THROUGHPUT: Final = "throughput"
ERROR_RATE: Final = "error_rate"
SUCCESS_RATE: Final = "success_rate"
QUEUE_SIZE: Final = "queue_size"
ACTIVE_TASKS: Final = "active_tasks"
MEMORY_BYTES: Final = "memory_bytes"
CUSTOM_PREFIX: Final = "custom:"
REPORTED_PREFIX: Final = "reported:"


@dataclass(frozen=True, slots=True)
class MetricType:
    name: str
    label: str
    """How messages call it."""
    unit: str
    """UCUM unit of the value inside."""
    display_unit: str
    """Unit a person reads, as the BMAD monitor named it."""
    display_factor: float
    direction: Direction
    combine: Combine
    description: str


_HIGH, _LOW = Direction.HIGH_IS_BAD, Direction.LOW_IS_BAD

METRIC_TYPES: Final[dict[str, MetricType]] = {
    m.name: m
    for m in (
        MetricType(CPU_USAGE, "CPU usage", "1", "%", 100, _HIGH, Combine.MEAN,
                   "CPU seconds per second, one core = 100 %; of a host: share of all cores."),
        MetricType(MEMORY_USAGE, "Memory usage", "1", "%", 100, _HIGH, Combine.MEAN,
                   "Resident memory as a share of what the process may use. Mean of the instances."),
        MetricType(MEMORY_BYTES, "Memory", "By", "MiB", 2**-20, _HIGH, Combine.MEAN,
                   "Resident memory of the process, of a host the memory in use. Mean of the instances."),
        MetricType(DISK_IO, "Disk I/O", "By/s", "bytes/second", 1, _HIGH, Combine.MEAN, "Read and written."),
        MetricType(NETWORK_IO, "Network I/O", "By/s", "bytes/second", 1, _HIGH, Combine.MEAN,
                   "Bytes received and transmitted per second."),
        MetricType(RESPONSE_TIME, "Response time", "s", "seconds", 1, _HIGH, Combine.MEAN,
                   "95th percentile of task durations."),
        MetricType(THROUGHPUT, "Throughput", "{task}/s", "tasks/second", 1, _LOW, Combine.SUM, "Finished tasks."),
        MetricType(ERROR_RATE, "Error rate", "1", "%", 100, _HIGH, Combine.MEAN, "Failed share of finished tasks."),
        MetricType(SUCCESS_RATE, "Success rate", "1", "%", 100, _LOW, Combine.MEAN, "1 - error rate."),
        MetricType(QUEUE_SIZE, "Queue size", "{task}", "count", 1, _HIGH, Combine.SUM, "Tasks waiting."),
        MetricType(ACTIVE_TASKS, "Active tasks", "{task}", "count", 1, _HIGH, Combine.SUM, "Tasks running."),
    )
}  # fmt: skip


def is_custom(name: str) -> bool:
    """Whether ``name`` is a value of a program's own: its unit and direction are not in the table."""
    return name.startswith(CUSTOM_PREFIX)


def is_reported(name: str) -> bool:
    """Whether ``name`` is what an agent says of itself: shown, never judged, nothing learned from it."""
    return name.startswith(REPORTED_PREFIX)


def metric_type(name: str, unit: str = "") -> MetricType:
    """The row of ``name``; custom and reported types get one on the fly, with ``unit``.

    Raises KeyError for a name that is neither.
    """
    if is_custom(name) or is_reported(name):
        kind, _, plain = name.partition(":")
        return MetricType(name, plain, unit or "1", unit, 1, _HIGH, Combine.MEAN, f"A {kind} value.")
    return METRIC_TYPES[name]


def render_seconds(value: float) -> str:
    """A duration as a person reads it: ``3.40s``, ``720ms``, ``3.4ms``."""
    if abs(value) >= 1 or value == 0:
        return f"{value:.2f}s"
    milliseconds = value * 1000
    return f"{milliseconds:.0f}ms" if abs(milliseconds) >= 10 else f"{milliseconds:.1f}ms"


def render(name: str, value: float, unit: str = "") -> str:
    """``value`` of ``name`` with its unit, as a person reads it: ``75.2%``, ``3.40s``, ``12.0 tasks/second``.

    ``unit`` is that of a custom or reported value; the others have theirs.
    """
    row = metric_type(name, unit)
    shown = value * row.display_factor
    match row.display_unit:
        case "%":
            return f"{shown:.1f}%"
        case "seconds":
            return render_seconds(shown)
        case "count":
            return f"{shown:.0f}"
        case "":
            return f"{shown:.2f}"
        case unit:
            return f"{shown:.1f} {unit}"
