"""Reads workflow files: what may be written in one, and what is wrong with it, with path and line.

What a file says by itself is checked here; what only the whole graph shows (circles, unknown dependencies, ids that are
there twice) is `bmad_otel.workflow`'s to find.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, Strict, StringConstraints

from bmad_otel.workflow import Workflow, WorkflowTask, faults_of
from bmad_processor.errors import ConfigError, Problem
from bmad_processor.fields import Config, DurationNs

from .blocks import Names
from .complaints import check
from .expand import expand
from .shipped import shipped_config
from .tree import Node, child, find, items, problem
from .yaml_source import read_yaml

_SECOND_NS: Final = 1_000_000_000
_WEEK_NS: Final = 7 * 86_400 * _SECOND_NS
_SUFFIXES: Final = (".yaml", ".yml")

# names are on every span and series
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
_Timeout = Annotated[DurationNs, Field(gt=0, le=_WEEK_NS)]


class TaskConfig(Config):
    """One task of a workflow."""

    id: _Name
    """Name of the task, once in the workflow."""
    agent: _Name
    """Who does it, in any of its spellings."""
    task: _Name
    """Method of the agent's object, or text that its function understands."""
    depends_on: Names = ()
    """Ids of the tasks that must have succeeded before."""
    timeout: _Timeout | None = None
    """The longest one attempt may take."""
    retries: Annotated[int, Strict(), Field(ge=0, le=100)] = 0
    """Further attempts after one that failed or took too long."""
    retry_delay: Annotated[DurationNs, Field(ge=0, le=_WEEK_NS)] = _SECOND_NS
    """From the end of an attempt to the start of the next."""


class WorkflowConfig(Config):
    """One workflow file."""

    name: _Name
    """Name of the workflow, as on its spans."""
    description: str = ""
    """What it is for, in a sentence."""
    max_parallel: Annotated[int, Strict(), Field(ge=1, le=256)] = 3
    """Tasks that run at once, at most."""
    timeout: _Timeout | None = None
    """The longest the whole may take; what runs then is cancelled."""
    fail_fast: Annotated[bool, Strict()] = False
    """Whether the first failure cancels what runs; without it, only what depends on the failed task is left out."""
    tasks: list[TaskConfig]
    """What is to be done."""


def load_workflow(path: Path, environ: Mapping[str, str] | None = None) -> Workflow:
    """The workflow in the file at ``path``; environment variables are expanded as in the collector's configuration.
    Raises ConfigError with every problem in it."""
    workflow, problems = read_workflow(path, os.environ if environ is None else environ)
    if workflow is None or problems:
        raise ConfigError(problems)
    return workflow


def read_workflow(path: Path, environ: Mapping[str, str]) -> tuple[Workflow | None, list[Problem]]:
    """The same with its problems as a value; a workflow that has some is not to be run."""
    root, problems = read_yaml(path)
    if root is None or problems:
        return None, problems
    root, problems = expand(root, environ)
    config, wrong = check(WorkflowConfig, root, ())
    problems += wrong
    known = {(found.line, found.path) for found in problems}
    in_graph = (problem(root, fault.path, fault.message, fault.expected) for fault in faults_of(_graph(root)))
    problems += [found for found in in_graph if (found.line, found.path) not in known]
    workflow = None if config is None else _workflow(config)
    return workflow, sorted(problems, key=lambda found: found.line)


def shipped_workflows() -> dict[str, Path]:
    """The workflow files that come with bmad-otel, by name."""
    folder = shipped_config() / "workflows"
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES}


def find_workflow(name: str) -> Path:
    """The file of a workflow: one that is shipped, by its name, or any other by its path. Raises ConfigError."""
    shipped = shipped_workflows()
    if name in shipped:
        return shipped[name]
    if Path(name).suffix in _SUFFIXES or os.sep in name:
        return Path(name)
    near = get_close_matches(name, shipped, n=1)
    hint = f", did you mean {near[0]}?" if near else ""
    known = ", ".join(shipped)
    raise ConfigError([Problem(name, 0, "", f"there is no workflow of this name{hint}", f"{known} or a .yaml file")])


def _graph(root: Node) -> Workflow:
    """What the file says of ids and dependencies, whatever else is wrong in it, to check both in the same run."""

    def text(node: Node | None, instead: str) -> str:
        return node.value if node is not None and isinstance(node.value, str) and node.value.strip() else instead

    tasks = []
    for i, node in items(find(root, ("tasks",))):
        needed = tuple(text(name, "") for _, name in items(child(node, "depends_on")))
        tasks.append(WorkflowTask(text(child(node, "id"), f"(task {i + 1})"), "any", "any", needed))
    return Workflow("any", tuple(tasks))


def _workflow(config: WorkflowConfig) -> Workflow:
    tasks = (
        WorkflowTask(
            id=task.id,
            agent=task.agent,
            task=task.task,
            depends_on=task.depends_on,
            timeout_s=_seconds(task.timeout),
            retries=task.retries,
            retry_delay_s=task.retry_delay / _SECOND_NS,
        )
        for task in config.tasks
    )
    return Workflow(
        name=config.name,
        description=config.description,
        tasks=tuple(tasks),
        max_parallel=config.max_parallel,
        timeout_s=_seconds(config.timeout),
        fail_fast=config.fail_fast,
    )


def _seconds(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / _SECOND_NS
