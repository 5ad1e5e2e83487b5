"""Changes the profile file of one agent: judged as a whole before anything is written, and written in one piece.

Several programs may do so at once (a collector and the command line): whoever writes holds a lock on the directory. A
person's editor does not, so the file is compared once more before it is replaced, and the change is made anew on what
the editor wrote.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bmad_processor.errors import ConfigError, Problem, ProfileError
from bmad_processor.layering import merge_thresholds
from bmad_processor.metric_types import render
from bmad_processor.model import Level
from bmad_processor.read_model import one_profile
from bmad_processor.settings import Profile, Profiles
from bmad_processor.summary import display

from .file_edit import locked, read_bytes, replace_file
from .profile_patch import ProfilePatch
from .profile_text import edit_text, new_profile
from .profiles import EVERYONE, Layer, Layers, merge_layers, read_layers
from .tree import render_path

LOCK_TIMEOUT_S: Final = 5.0
"""A change takes milliseconds; who holds the lock for longer hangs."""

MAX_PROFILES: Final = 1_000
"""Agents with a profile of their own that a program may create; files that a person writes are not counted."""

_WORDS: Final = {"DevOpsInfra": "devops-infra", "RnD": "rnd", "UXUIDesigner": "ux-ui-designer"}
"""Names whose capitals do not part words."""

_MAX_TRIES: Final = 3
_MAX_SLUG: Final = 60


@dataclass(frozen=True, slots=True)
class Dropped:
    """A level from a lower layer that the new values contradict, and that therefore no longer counts."""

    metric: str
    level: Level
    value: float
    """In base units."""
    origin: str
    """The layer it came from."""
    by: Level
    """The level that it contradicts."""
    by_value: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON, in display units."""
        return {
            "metric_type": self.metric,
            "level": self.level.label,
            "value": display(self.metric, self.value),
            "reason": str(self),
        }

    def __str__(self) -> str:
        side = "above" if self.by_value > self.value else "below"
        by, level = f"{self.by.label} {render(self.metric, self.by_value)}", self.level.label
        return f"{by} is {side} {level} {render(self.metric, self.value)} of {origin_words(self.origin)}"


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a change."""

    file: Path | None
    """The file that was written; None when it lives in memory."""
    layers: Layers
    profiles: Profiles
    dropped: tuple[Dropped, ...]

    def to_dict(self, agent: str) -> dict[str, Any]:
        """The JSON that tells what an agent is judged by now, where that is kept, and what no longer counts."""
        return one_profile(self.profiles, agent) | {
            "is_persisted": self.file is not None,
            "file": None if self.file is None else str(self.file),
            "dropped": [one.to_dict() for one in self.dropped],
        }


def origin_words(origin: str) -> str:
    """Where a value comes from, for people."""
    return {
        "default": "the default profile",
        "group": "the agent's group",
        "agent": "the agent's profile",
        "registered": "what was registered",
    }.get(origin, "the built-in thresholds")


def profile_of(profiles: Profiles, agent: str) -> Profile:
    """The profile of an agent by its canonical name, or the default one."""
    return profiles.default if agent == EVERYONE else profiles.by_agent.get(agent, profiles.default)


def write_change(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    agent: str,
    patch: ProfilePatch,
    *,
    replace: bool = False,
    registered: Mapping[str, Layer] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> Change:
    """Makes the changes in the agent's profile file, or in a new one in the first directory of ``paths``.

    ``replace`` takes away what its file has said before; then, as in any file, an inherited level that the new ones
    contradict no longer counts. Without it such a contradiction is a problem: one level is changed, the others stay.
    Raises ConfigError with every problem, and ProfileError when the file cannot be written; the files are then as
    they were.
    """
    directory = next((path for path in paths if path.is_dir()), None)
    lock_at = directory if directory is not None or not paths else paths[0].parent
    for _ in range(_MAX_TRIES):
        with locked(lock_at, lock_timeout_s):
            layers, problems = read_layers(paths, environ, may_be_empty=True)
            before, found = merge_layers(layers, registered)
            problems += found
            if problems:
                raise ConfigError(problems)
            profile = profile_of(before, agent)
            if not replace and (dropped := dropped_levels(profile, _laid_over(profile, patch), patch)):
                raise ConfigError(contradictions(agent, dropped))
            layer = layers.everyone if agent == EVERYONE else layers.agents.get(agent)
            file = _new_file(directory, agent, layers) if layer is None else Path(layer.root.file)
            content = b"" if layer is None else read_bytes(file)
            text = new_profile(agent) if layer is None else content.decode("utf-8")
            edited = edit_text(text, str(file), patch, replace=replace)
            layers, problems = read_layers(paths, environ, instead={file: edited.removeprefix("\ufeff")})
            profiles, found = merge_layers(layers, registered)
            if problems or found:
                raise ConfigError(problems + found)
            dropped = dropped_levels(profile, profile_of(profiles, agent), patch, but_of="agent")
            if replace_file(file, content, edited.encode(), is_new=layer is None):
                return Change(file, layers, profiles, dropped)
    raise ProfileError(f"{file} is being edited by someone else")


def _laid_over(profile: Profile, patch: ProfilePatch) -> Profile:
    directions = {**profile.directions, **patch.directions}
    merged = merge_thresholds(profile.thresholds, patch.thresholds, directions)
    return dataclasses.replace(profile, thresholds=merged)


def dropped_levels(before: Profile, after: Profile, patch: ProfilePatch, *, but_of: str = "") -> tuple[Dropped, ...]:
    """Levels that counted before, that nobody asked to take away, and that count no more.

    Those of the layer ``but_of`` are left out: it is replaced, and what it has said is meant to go.
    """
    found = []
    for metric in dict.fromkeys(path[1] for path in patch.wishes if len(path) == 3 and path[0] == "thresholds"):
        now = after.thresholds.get(metric, {})
        asked = {path[2] for path in patch.wishes if path[:2] == ("thresholds", metric)}
        new = [level for level in now if level.label in asked]
        for level, value in before.thresholds.get(metric, {}).items():
            if level in now or level.label in asked or not new:
                continue
            origin = before.origins.get(f"thresholds::{metric}::{level.label}", "")
            if origin == but_of != "":
                continue
            by = min(new, key=lambda other: abs(other - level))
            found.append(Dropped(metric, level, value, origin, by, now[by]))
    return tuple(found)


def contradictions(agent: str, dropped: Sequence[Dropped]) -> list[Problem]:
    """The same as problems, at the values that were asked for."""
    return [
        Problem(
            f"profile {agent}",
            0,
            render_path(("thresholds", one.metric, one.by.label)),
            str(one),
            f"{one.by.label} on the other side of it, or {one.level.label} changed as well",
        )
        for one in dropped
    ]


# The file -------------------------------------------------------------------------------------------------------------


def _new_file(directory: Path | None, agent: str, layers: Layers) -> Path:
    if directory is None:
        raise ProfileError(
            "there is no directory for a new profile: name one under processors::agent_performance::profiles"
        )
    if len(layers.agents) >= MAX_PROFILES:
        raise ProfileError(f"there are {len(layers.agents)} profiles already")
    slug = "default" if agent == EVERYONE else file_name(agent)
    taken = {path.stem for path in directory.iterdir()}
    name = next(name for name in (slug, *(f"{slug}-{i}" for i in range(2, len(taken) + 3))) if name not in taken)
    return directory / f"{name}.yaml"


def file_name(agent: str) -> str:
    """The usual name of an agent's file, without the suffix: ``product-owner`` for ``ProductOwner``."""
    words = _WORDS.get(agent) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", agent)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:_MAX_SLUG].rstrip("-") or "agent"
