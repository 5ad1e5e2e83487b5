"""The summary of an agent nobody has heard of yet, but who has a profile."""

from __future__ import annotations

from typing import Any

from bmad_otel.monitor._profiles import Body
from bmad_otel.monitor._types import AgentPerformanceProfile


def summary_without_data(agent: str, profile: AgentPerformanceProfile, body: Body, now: float) -> dict[str, Any]:
    """The keys of every summary, with what the profile says and nothing else; ``now`` in seconds since the epoch."""
    from bmad_otel.monitor._embedded import profile_of
    from bmad_processor.model import PartitionKey
    from bmad_processor.pricing import Prices
    from bmad_processor.read_model import describe
    from bmad_processor.settings import EngineSettings, Profile, Profiles
    from bmad_processor.state import Partition

    kind = "host" if agent == "system" else "agent"
    now_ns = round(now * 1e9)
    partition = Partition(PartitionKey(kind, "", agent), now_ns, now_ns)
    settings = EngineSettings(profiles=Profiles(by_agent={agent: profile_of(agent, body, Profile("*"))}))
    summary = describe(partition, settings, [], Prices(), now_ns)
    return summary | {
        "first_seen": None, "last_seen": None, "age_s": None, "is_active": False, "also_in": [],
        "monitoring_enabled": profile.monitoring_enabled, "auto_scaling_enabled": profile.auto_scaling_enabled,
    }  # fmt: skip
