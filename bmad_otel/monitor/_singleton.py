"""The monitor of the process, and the three profiles the BMAD performance monitor comes with."""

from __future__ import annotations

import os
import threading
from typing import Final

from bmad_otel.monitor._monitor import PerformanceMonitor
from bmad_otel.monitor._types import AgentPerformanceProfile, AlertLevel, MetricType


class _Holder:
    """The one monitor, made when somebody asks for it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.monitor: PerformanceMonitor | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        self.lock = threading.RLock()


_holder: Final = _Holder()


def get_performance_monitor() -> PerformanceMonitor:
    """The monitor of this process, the same for everyone who asks; made at the first call. Thread-safe, and after a
    fork the child's own."""
    found = _holder.monitor
    if found is None:
        with _holder.lock:
            found = _holder.monitor
            if found is None:
                found = _holder.monitor = PerformanceMonitor()
    return found


_SEED: Final = (
    # name, CPU %, response time s, error rate %, CPU and memory to scale at in %, most instances
    ("ProductOwner", (60.0, 80.0), (3.0, 8.0), (3.0, 8.0), (70.0, 80.0), 3),
    ("Architect", (70.0, 85.0), (5.0, 12.0), (2.0, 5.0), (75.0, 85.0), 2),
    ("TestEngineer", (80.0, 90.0), (10.0, 20.0), (5.0, 10.0), (85.0, 90.0), 5),
)


def seed_profiles() -> list[AgentPerformanceProfile]:
    """The profiles of ProductOwner, Architect and TestEngineer."""
    levels = (AlertLevel.WARNING, AlertLevel.CRITICAL)
    return [
        AgentPerformanceProfile(
            name,
            thresholds={
                MetricType.CPU_USAGE: dict(zip(levels, cpu, strict=True)),
                MetricType.RESPONSE_TIME: dict(zip(levels, response, strict=True)),
                MetricType.ERROR_RATE: dict(zip(levels, errors, strict=True)),
            },
            scaling_rules={"cpu_threshold": scale_cpu, "memory_threshold": scale_memory, "max_instances": most},
        )
        for name, cpu, response, errors, (scale_cpu, scale_memory), most in _SEED
    ]


def create_default_agent_profiles() -> None:
    """Register the profiles of ProductOwner, Architect and TestEngineer at the monitor of this process."""
    for profile in seed_profiles():
        get_performance_monitor().register_agent_profile(profile)
