"""Reads profile files: one agent's thresholds and scaling rules per file, and lays them over each other.

From bottom to top: `settings.DEFAULT_THRESHOLDS`, the profile of agent ``"*"``, the shared part of the agent's group,
the agent's own profile, what a program registered for it while the collector runs; merged per metric type and level
(see `layering.merge_thresholds`) and per key of ``scaling``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, Strict, StringConstraints

from bmad_processor.agent_names import canonical
from bmad_processor.errors import Problem
from bmad_processor.fields import Config, Ratio
from bmad_processor.layering import Levels, merge_thresholds
from bmad_processor.settings import Profile, Profiles, ScalingRules

from .blocks import OrEmptyMapping
from .complaints import check, unknown_key
from .directions import DIRECTION, Directions, read_directions
from .expand import expand
from .thresholds import read_thresholds
from .tree import Node, find, problem, show
from .yaml_source import parse_yaml, read_yaml

_DEFAULT: Final = ScalingRules()
EVERYONE: Final = "*"
"""The agent name that stands for everyone without a profile, and below everyone who has one."""

_SUFFIXES: Final = (".yaml", ".yml")

_Instances = Annotated[int, Strict(), Field(ge=1)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ScalingRulesConfig(Config):
    """When the agent needs more or fewer instances."""

    cpu_threshold: Annotated[Ratio, Field(gt=0)] | None = _DEFAULT.cpu_threshold
    """CPU usage to hold, mean of the instances; `null` leaves CPU out of the advice."""
    memory_threshold: Annotated[Ratio, Field(gt=0)] | None = _DEFAULT.memory_threshold
    """Memory usage to hold, mean of the instances; `null` leaves memory out of the advice."""
    min_instances: _Instances = _DEFAULT.min_instances
    """Fewest instances ever advised."""
    max_instances: _Instances = _DEFAULT.max_instances
    """Most instances ever advised."""
    cost_per_hour: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] | None = _DEFAULT.cost_per_hour
    """US dollars that one instance costs in an hour, for the cost of idle instances; `null` when nobody knows."""


class ProfileConfig(Config):
    """One profile file."""

    agent: _Name | None = None
    """Name of the agent in any of its spellings; `"*"` for the default of everyone else; `system` for hosts. A file
    without it is the shared part of its `group`."""
    group: _Name | None = None
    """The group the agent belongs to, at most one; without `agent` the group whose shared part this file is."""
    thresholds: Annotated[dict[str, Any], OrEmptyMapping] = Field(default_factory=dict)
    """Metric type to level (`info`, `warning`, `critical`, `emergency`) to value; `null` takes a level away. Beside the
    levels, `direction` says which side is bad, `high_is_bad` or `low_is_bad`."""
    scaling: ScalingRulesConfig = ScalingRulesConfig()
    """When the agent needs more or fewer instances."""
    monitoring_enabled: Annotated[bool, Strict()] = True
    """Whether the agent is judged; its telemetry is passed on either way."""
    auto_scaling_enabled: Annotated[bool, Strict()] = True
    """Whether scaling advice is given."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one profile file, or one registration, says; checked by itself."""

    root: Node
    config: ProfileConfig
    thresholds: Mapping[str, Levels]
    directions: Directions

    @property
    def agent(self) -> str:
        """Canonical name of its agent, `EVERYONE`, or empty for the shared part of a group."""
        name = self.config.agent
        return "" if name is None else EVERYONE if name == EVERYONE else canonical(name)

    @property
    def group(self) -> str:
        return self.config.group or ""


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything that profile files say, not laid over each other yet."""

    files: tuple[Path, ...] = ()
    """The files that were read, in order."""
    everyone: Layer | None = None
    groups: Mapping[str, Layer] = field(default_factory=dict)
    """Group to its shared part."""
    agents: Mapping[str, Layer] = field(default_factory=dict)
    """Canonical agent name to its own part."""
    broken_groups: frozenset[str] = frozenset()
    """Groups whose shared part is there but not understood: their members are not to blame."""


def load_profiles(paths: Iterable[Path], environ: Mapping[str, str]) -> tuple[Profiles, list[Problem]]:
    """The profiles in the given files and directories, and everything that is wrong with them.

    Files of a directory are read in the order of their names. Environment variables are expanded as in the
    configuration.
    """
    layers, problems = read_layers(paths, environ)
    profiles, found = merge_layers(layers)
    return profiles, problems + found


def read_layers(
    paths: Iterable[Path],
    environ: Mapping[str, str],
    *,
    instead: Mapping[Path, str] | None = None,
    may_be_empty: bool = False,
) -> tuple[Layers, list[Problem]]:
    """What the files say, and what is wrong with each and between them.

    ``instead`` gives texts to read in place of what is in these files, which need not exist yet: how an edit is judged
    before it is written. ``may_be_empty`` is for directories that are about to get their first profile.
    """
    instead = instead or {}
    problems: list[Problem] = []
    files = list_files(paths, problems, instead, may_be_empty=may_be_empty)
    everyone: Layer | None = None
    groups: dict[str, Layer] = {}
    agents: dict[str, Layer] = {}
    broken: set[str] = set()
    for path in files:
        root, found = _read(path, environ, instead.get(path))
        problems += found
        if root is None:
            continue
        layer, found = read_layer(root)
        problems += found
        if layer is None:
            broken.add(_shared_group(root))
            continue
        if layer.agent == "":
            first = groups.setdefault(layer.group, layer)
            key, name, one = "group", layer.group, "one file per group"
        elif layer.agent == EVERYONE:
            first = everyone = everyone or layer
            key, name, one = "agent", EVERYONE, "one file per agent"
        else:
            first = agents.setdefault(layer.agent, layer)
            key, name, one = "agent", layer.config.agent or "", "one file per agent"
        if first is not layer:
            message = f"{show(name)} has a profile already, in {first.root.file}"
            problems.append(problem(layer.root, (key,), message, one))
    return Layers(tuple(files), everyone, groups, agents, frozenset(broken)), problems


def merge_layers(layers: Layers, registered: Mapping[str, Layer] | None = None) -> tuple[Profiles, list[Problem]]:
    """The profiles that result, each agent's with ``registered`` on top, and what contradicts between layers."""
    problems: list[Problem] = []
    registered = registered or {}
    default = Profile(EVERYONE)
    if layers.everyone is not None:
        default = _over(default, layers.everyone, EVERYONE, "default", problems)
    if EVERYONE in registered:
        default = _over(default, registered[EVERYONE], EVERYONE, "registered", problems)
    # the shared parts are merged by themselves too, so that what is wrong with them is said once, and without members
    groups = {name: _over(default, part, "", "group", problems) for name, part in layers.groups.items()}
    profiles: dict[str, Profile] = {}
    for agent, layer in layers.agents.items():
        below = default
        if layer.group:
            below = groups.get(layer.group, default)
            if layer.group not in groups and layer.group not in layers.broken_groups:
                message, expected = unknown_key(layer.group, tuple(groups))
                message = message.replace("unknown key", "unknown group", 1)
                expected = expected if groups else f"a file with group: {layer.group} and without agent"
                problems.append(problem(layer.root, ("group",), message, expected))
        profiles[agent] = _over(below, layer, agent, "agent", problems)
    for agent, layer in registered.items():
        if agent != EVERYONE:
            profiles[agent] = _over(profiles.get(agent, default), layer, agent, "registered", problems)
    return Profiles(default, profiles), problems


def list_files(
    paths: Iterable[Path], problems: list[Problem], also: Iterable[Path] = (), *, may_be_empty: bool = False
) -> list[Path]:
    """The profile files in ``paths``, those of a directory by name. ``also`` are listed as if they were there."""
    found: dict[Path, None] = {}  # a file may be named by itself and by its directory
    for path in paths:
        try:
            if path.is_dir():
                inside = {p for p in path.iterdir() if p.suffix in _SUFFIXES} | {p for p in also if p.parent == path}
                listed = sorted(inside)
            else:
                listed = [path]
        except (OSError, ValueError) as error:
            problems.append(Problem(str(path), 0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}"))
            continue
        if not listed and not may_be_empty:
            problems.append(Problem(str(path), 0, "", "there is no profile in the directory", "a .yaml file"))
        found.update(dict.fromkeys(listed))
    return list(found)


def _read(path: Path, environ: Mapping[str, str], text: str | None) -> tuple[Node | None, list[Problem]]:
    root, problems = read_yaml(path) if text is None else parse_yaml(text, str(path))
    if root is None:
        return None, problems
    root, unexpanded = expand(root, environ)
    problems += unexpanded
    return (None if problems else root), problems


def _shared_group(root: Node) -> str:
    """The group whose shared part the file was meant to be; empty for an agent's file."""
    group = find(root, ("group",))
    return str(group.value).strip() if group is not None and find(root, ("agent",)) is None else ""


def read_layer(root: Node) -> tuple[Layer | None, list[Problem]]:
    """One profile from its tree, and everything that is wrong with it by itself."""
    config, problems = check(ProfileConfig, root, ())
    thresholds, wrong = read_thresholds(root, ("thresholds",))
    problems += wrong
    directions, _ = read_directions(root, ("thresholds",))  # what is wrong with them was told with the thresholds
    if config is not None and config.agent is None and config.group is None:
        expected = "the name of an agent, or a group for its shared part"
        problems.append(problem(root, ("agent",), "is missing", expected, at_key=True))
        return None, problems
    if config is not None and config.agent == EVERYONE and config.group is not None:
        problems.append(problem(root, ("group",), 'the default profile "*" belongs to no group', "no group here"))
    return (None if config is None or wrong else Layer(root, config, thresholds, directions)), problems


def _over(below: Profile, layer: Layer, agent: str, origin: str, problems: list[Problem]) -> Profile:
    config = layer.config
    origins = dict(below.origins)

    def pick(name: str, inherited: Any) -> Any:
        if name not in config.model_fields_set:
            return inherited
        origins[name] = origin
        return getattr(config, name)

    own = config.scaling.model_fields_set if "scaling" in config.model_fields_set else frozenset()
    rules = {
        rule.name: getattr(config.scaling if rule.name in own else below.scaling, rule.name)
        for rule in fields(ScalingRules)
    }
    origins.update({f"scaling::{name}": origin for name in own})
    bounds = {"min_instances", "max_instances"}
    if own & bounds and rules["min_instances"] > rules["max_instances"]:  # else a layer below has said so already
        key = "min_instances" if find(layer.root, ("scaling", "min_instances")) else "max_instances"
        message = f"min_instances {rules['min_instances']} is more than max_instances {rules['max_instances']}"
        problems.append(problem(layer.root, ("scaling", key), message))
    for metric, levels in layer.thresholds.items():
        origins.update({f"thresholds::{metric}::{level.label}": origin for level in levels})
    origins.update({f"thresholds::{metric}::{DIRECTION}": origin for metric in layer.directions})
    directions = {**below.directions, **layer.directions}
    return Profile(
        agent=agent,
        thresholds=merge_thresholds(below.thresholds, layer.thresholds, directions),
        directions=directions,
        scaling=ScalingRules(**rules),
        monitoring_enabled=pick("monitoring_enabled", below.monitoring_enabled),
        auto_scaling_enabled=pick("auto_scaling_enabled", below.auto_scaling_enabled),
        group=layer.group or below.group,
        origins=origins,
    )
