"""Configuration of the `memory_limiter` processor, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, DurationNs

_SECOND: Final = 1_000_000_000

_Mib = Annotated[int, Strict(), Field(ge=0)]
_Percentage = Annotated[int, Strict(), Field(ge=0, le=100)]


class MemoryLimiterConfig(Config):
    """Refuses what comes in while the process holds too much memory. Must be the first processor of its pipelines.

    Senders are told to come back (UNAVAILABLE with RetryInfo, 503 with Retry-After), before their request is decoded.
    """

    check_interval: Annotated[DurationNs, Field(ge=_SECOND // 100, le=60 * _SECOND)] = _SECOND
    """How often the memory of the process is looked at."""
    limit_mib: _Mib = 0
    """Hard limit: the resident set of the process in MiB. Takes precedence over `limit_percentage`."""
    spike_limit_mib: _Mib = 0
    """What may come between two looks, in MiB; refusing begins at the limit less this. 0: 20 % of the limit."""
    limit_percentage: _Percentage = 0
    """Hard limit as a percentage of the memory this process may use: of its container, else of the machine."""
    spike_limit_percentage: _Percentage = 0
    """As `spike_limit_mib`, as a percentage of the same memory. 0: 20 % of the limit."""
    min_gc_interval_when_soft_limited: Annotated[DurationNs, Field(ge=0)] = 10 * _SECOND
    """Least time between two collections of garbage while requests are refused."""
    min_gc_interval_when_hard_limited: Annotated[DurationNs, Field(ge=0)] = 0
    """Least time between two collections of garbage above the hard limit."""
    max_gc_interval_when_hard_limited: Annotated[DurationNs, Field(ge=0)] = 30 * _SECOND
    """The time between collections that free little doubles up to this."""

    @model_validator(mode="after")
    def _limit_above_spike(self) -> Self:
        if not self.limit_mib and not self.limit_percentage:
            raise PydanticCustomError(
                "value", "memory_limiter has no limit", {"expected": "limit_mib or limit_percentage"}
            )
        for spike, limit in (
            ("spike_limit_mib", "limit_mib"),
            ("spike_limit_percentage", "limit_percentage"),
        ):
            if getattr(self, limit) and getattr(self, spike) >= getattr(self, limit):
                raise PydanticCustomError(
                    "value", f"{spike} is not below {limit}", {"field": spike, "expected": f"less than {limit}"}
                )
        return self
