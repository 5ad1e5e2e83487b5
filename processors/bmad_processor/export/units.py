"""From the units a person reads to base units, as Prometheus and OTLP want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class BaseUnit:
    """A base unit: ``suffix`` of a Prometheus name, ``ucum`` of OTLP, and how many base units one display unit is."""

    suffix: str
    ucum: str
    divisor: float = 1.0

    def of(self, value: float) -> float:
        """``value``, given in the display unit, in the base unit."""
        # divided, not multiplied by 0.01: 29 % is 0.29, not 0.29000000000000004
        return value if self.divisor == 1 else value / self.divisor


_BASE_UNITS: Final = {
    "%": BaseUnit("ratio", "1", 100.0),
    "seconds": BaseUnit("seconds", "s"),
    "bytes": BaseUnit("bytes", "By"),
    "bytes/second": BaseUnit("bytes_per_second", "By/s"),
    "tasks/second": BaseUnit("tasks_per_second", "{task}/s"),
    "count": BaseUnit("", "{task}"),
}
"""By the display unit of a metric type (`metric_types.MetricType.display_unit`)."""


def base_unit(display_unit: str) -> BaseUnit:
    """The base unit of a display unit; one we do not know is a program's own and stays as it is."""
    return _BASE_UNITS.get(display_unit) or BaseUnit("", display_unit or "1")
