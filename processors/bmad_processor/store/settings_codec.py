"""`EngineSettings` as JSON text, so that a summary of a stopped collector knows its thresholds and windows."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, Final

from bmad_processor.metric_types import Direction
from bmad_processor.model import Level
from bmad_processor.settings import EngineSettings, Profile, Profiles, ScalingRules

_RULES: Final = {f.name for f in fields(ScalingRules)}


def dump_settings(settings: EngineSettings) -> str:
    """JSON text of all settings."""
    data: dict[str, Any] = {f.name: getattr(settings, f.name) for f in fields(EngineSettings) if f.name != "profiles"}
    data["profiles"] = {
        "default": _dump_profile(settings.profiles.default),
        "by_agent": {name: _dump_profile(p) for name, p in settings.profiles.by_agent.items()},
    }
    return json.dumps(data, separators=(",", ":"))


def load_settings(text: str) -> EngineSettings:
    """Inverse of `dump_settings`. Fields of another release are left out or take their default. Raises ValueError."""
    try:
        data = json.loads(text)
        profiles = Profiles(
            default=_load_profile(data["profiles"]["default"]),
            by_agent={name: _load_profile(p) for name, p in data["profiles"]["by_agent"].items()},
        )
        known = {f.name for f in fields(EngineSettings)} - {"profiles"}
        return EngineSettings(profiles=profiles, **{name: data[name] for name in known & data.keys()})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"damaged settings: {error!r}") from error


def _dump_profile(profile: Profile) -> dict[str, Any]:
    return {
        "agent": profile.agent,
        "thresholds": {
            metric: {level.label: value for level, value in levels.items()}
            for metric, levels in profile.thresholds.items()
        },
        "scaling": asdict(profile.scaling),
        "monitoring_enabled": profile.monitoring_enabled,
        "auto_scaling_enabled": profile.auto_scaling_enabled,
        "group": profile.group,
        "origins": dict(profile.origins),
        "directions": {metric: direction.value for metric, direction in profile.directions.items()},
    }


def _load_profile(data: dict[str, Any]) -> Profile:
    return Profile(
        agent=data["agent"],
        thresholds={
            metric: {Level[label.upper()]: value for label, value in levels.items()}
            for metric, levels in data["thresholds"].items()
        },
        scaling=ScalingRules(**{name: value for name, value in data["scaling"].items() if name in _RULES}),
        monitoring_enabled=data["monitoring_enabled"],
        auto_scaling_enabled=data["auto_scaling_enabled"],
        # not there in what an older release wrote
        group=data.get("group", ""),
        origins=data.get("origins", {}),
        directions={metric: Direction(value) for metric, value in data.get("directions", {}).items()},
    )
