"""Reads profile files: one agent's thresholds and scaling rules per file, laid over the default and the built-in ones.

From bottom to top: `settings.DEFAULT_THRESHOLDS`, the profile of agent ``"*"``, the agent's own profile; merged per
metric type and level (see `thresholds.merge_thresholds`) and per key of ``scaling``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, Strict, StringConstraints

from bmad_processor.agent_names import canonical
from bmad_processor.errors import Problem
from bmad_processor.fields import Config, Ratio
from bmad_processor.settings import Profile, Profiles, ScalingRules

from .blocks import OrEmptyMapping
from .complaints import check
from .directions import Directions, read_directions
from .expand import expand
from .thresholds import Levels, merge_thresholds, read_thresholds
from .tree import Node, find, problem, show
from .yaml_source import read_yaml

_DEFAULT: Final = ScalingRules()
EVERYONE: Final = "*"
"""The agent name that stands for everyone without a profile, and below everyone who has one."""

_SUFFIXES: Final = (".yaml", ".yml")

_Instances = Annotated[int, Strict(), Field(ge=1)]


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

    agent: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    """Name of the agent in any of its spellings; `"*"` for the default of everyone else; `system` for hosts."""
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
class _File:
    """One profile file, checked by itself."""

    root: Node
    config: ProfileConfig
    thresholds: Mapping[str, Levels]
    directions: Directions

    @property
    def agent(self) -> str:
        return EVERYONE if self.config.agent == EVERYONE else canonical(self.config.agent)


def load_profiles(paths: Iterable[Path], environ: Mapping[str, str]) -> tuple[Profiles, list[Problem]]:
    """The profiles in the given files and directories, and everything that is wrong with them.

    Files of a directory are read in the order of their names. Environment variables are expanded as in the
    configuration.
    """
    files: list[_File] = []
    problems: list[Problem] = []
    for path in _files(paths, problems):
        read, found = _read(path, environ)
        problems += found
        if read is not None:
            files.append(read)
    by_agent: dict[str, _File] = {}
    for file in files:
        first = by_agent.setdefault(file.agent, file)
        if first is not file:
            message = f"{show(file.config.agent)} has a profile already, in {first.root.file}"
            problems.append(problem(file.root, ("agent",), message, "one file per agent"))
    builtin = Profile(EVERYONE)
    everyone = by_agent.pop(EVERYONE, None)
    default = builtin if everyone is None else _over(builtin, everyone, EVERYONE, problems)
    agents = {agent: _over(default, file, agent, problems) for agent, file in by_agent.items()}
    return Profiles(default, agents), problems


def _files(paths: Iterable[Path], problems: list[Problem]) -> list[Path]:
    found: dict[Path, None] = {}  # a file may be named by itself and by its directory
    for path in paths:
        try:
            listed = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else [path]
        except (OSError, ValueError) as error:
            problems.append(Problem(str(path), 0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}"))
            continue
        if not listed:
            problems.append(Problem(str(path), 0, "", "there is no profile in the directory", "a .yaml file"))
        found.update(dict.fromkeys(listed))
    return list(found)


def _read(path: Path, environ: Mapping[str, str]) -> tuple[_File | None, list[Problem]]:
    root, problems = read_yaml(path)
    if root is None:
        return None, problems
    root, unexpanded = expand(root, environ)
    problems += unexpanded
    if problems:
        return None, problems
    config, problems = check(ProfileConfig, root, ())
    thresholds, wrong = read_thresholds(root, ("thresholds",))
    problems += wrong
    directions, _ = read_directions(root, ("thresholds",))  # what is wrong with them was told with the thresholds
    return (None if config is None or wrong else _File(root, config, thresholds, directions)), problems


def _over(below: Profile, file: _File, agent: str, problems: list[Problem]) -> Profile:
    config = file.config

    def pick(name: str, inherited: Any) -> Any:
        return getattr(config, name) if name in config.model_fields_set else inherited

    own = config.scaling.model_fields_set if "scaling" in config.model_fields_set else frozenset()
    rules = {
        name: getattr(config.scaling if name in own else below.scaling, name)
        for name in ("cpu_threshold", "memory_threshold", "min_instances", "max_instances", "cost_per_hour")
    }
    if rules["min_instances"] > rules["max_instances"]:
        key = "min_instances" if find(file.root, ("scaling", "min_instances")) else "max_instances"
        message = f"min_instances {rules['min_instances']} is more than max_instances {rules['max_instances']}"
        problems.append(problem(file.root, ("scaling", key), message))
    directions = {**below.directions, **file.directions}
    return Profile(
        agent=agent,
        thresholds=merge_thresholds(below.thresholds, file.thresholds, directions),
        directions=directions,
        scaling=ScalingRules(**rules),
        monitoring_enabled=pick("monitoring_enabled", below.monitoring_enabled),
        auto_scaling_enabled=pick("auto_scaling_enabled", below.auto_scaling_enabled),
    )
