"""A profile that a program gives, laid over the one below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bmad_processor.layering import merge_thresholds
from bmad_processor.model import Level
from bmad_processor.settings import Profile


def merged_profile(
    agent: str,
    below: Profile,
    *,
    thresholds: Mapping[str, Mapping[Level, float]],
    scaling: Mapping[str, Any],
    monitoring_enabled: bool,
    auto_scaling_enabled: bool,
) -> Profile:
    """A profile of ``agent`` over ``below``, merged as profile files are; all in base units."""
    return replace(
        below,
        agent=agent,
        thresholds=merge_thresholds(below.thresholds, thresholds, below.directions),
        scaling=replace(below.scaling, **scaling),
        monitoring_enabled=monitoring_enabled,
        auto_scaling_enabled=auto_scaling_enabled,
    )
