"""Profiles as JSON: what an agent is judged by, in the units people read, and where each value comes from."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from bmad_processor.settings import Profile, Profiles, ScalingRules
from bmad_processor.summary import metric_row, thresholds_of

BUILTIN: Final = "builtin"
"""The origin of what no file and no program has set."""

_SHARES: Final = ("cpu_threshold", "memory_threshold")


def profile_row(agent: str, profile: Profile, *, has_profile: bool) -> dict[str, Any]:
    """One agent's merged profile. ``has_profile`` is whether it is its own and not only the default.

    ``origins`` has the keys of the profile, each with the layer its value comes from: ``builtin``, ``default``,
    ``group``, ``agent`` or ``registered``.
    """
    thresholds = thresholds_of(profile)
    scaling = {rule.name: _scaling_value(rule.name, profile.scaling) for rule in fields(ScalingRules)}

    def origin(*path: str) -> str:
        return profile.origins.get("::".join(path), BUILTIN)

    return {
        "agent_name": agent,
        "group": profile.group or None,
        "has_profile": has_profile,
        "monitoring_enabled": profile.monitoring_enabled,
        "auto_scaling_enabled": profile.auto_scaling_enabled,
        "thresholds": thresholds,
        "directions": {metric: profile.direction_of(metric).value for metric in thresholds},
        "units": {metric: metric_row(metric).display_unit for metric in thresholds},
        "scaling": scaling,
        "origins": {
            "monitoring_enabled": origin("monitoring_enabled"),
            "auto_scaling_enabled": origin("auto_scaling_enabled"),
            "thresholds": {
                metric: {level: origin("thresholds", metric, level) for level in levels}
                for metric, levels in thresholds.items()
            },
            "scaling": {key: origin("scaling", key) for key in scaling},
        },
    }


def all_profiles(profiles: Profiles) -> dict[str, Any]:
    """Every profile by agent, and the default one of everybody else."""
    return {
        "default": one_profile(profiles, profiles.default.agent),
        "profiles": [
            profile_row(agent, profile, has_profile=True) for agent, profile in sorted(profiles.by_agent.items())
        ],
    }


def one_profile(profiles: Profiles, agent: str) -> dict[str, Any]:
    """What an agent (canonical name) is judged by, whether it has a profile or not."""
    if agent == profiles.default.agent:
        return profile_row(agent, profiles.default, has_profile=bool(profiles.default.origins))
    own = profiles.by_agent.get(agent)
    return profile_row(agent, own or profiles.default, has_profile=own is not None)


def _scaling_value(name: str, rules: ScalingRules) -> float | None:
    value: float | None = getattr(rules, name)
    return round(value * 100, 9) if name in _SHARES and value is not None else value
