"""Whom a task is given to: finds the caller's function for each task, before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType, ModuleType
from typing import Any, Final

from bmad_otel._failure import message_of

from .definition import Fault, Workflow, WorkflowError, WorkflowTask

HOW_TO_GIVE: Final = "agents are given as {name: object with the tasks as methods, or function(task, context)}"

GIVEN_KEYS: Final = ("workflow", "workflow_id", "task_id", "attempt", "inputs")
"""Keys of the context that a workflow fills itself: what they mean is in `run`."""

Arguments = Callable[[Mapping[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Of the context of an attempt: the arguments of the call."""


class MissingAgents(WorkflowError):
    """The workflow's tasks cannot be given to the agents it was started with. ``missing``: agents that were not given
    at all, under their canonical names."""

    def __init__(self, name: str, faults: list[Fault], missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__(name, faults)


@dataclass(frozen=True, slots=True)
class Callee:
    """Whom to call for one task, and with what."""

    agent: str
    """Canonical name."""
    function: Callable[..., Any]
    arguments: Arguments


def canonical(name: str) -> str:
    """The one name of an agent under all its spellings."""
    # Imported here: the names are a table of the processor's (standard library only), which a program without
    # workflows has no use for.
    from bmad_processor.agent_names import canonical as canonical_name

    return canonical_name(name)


def callees_of(workflow: Workflow, agents: object, context: Mapping[str, Any]) -> dict[str, Callee]:
    """For each task of a faultless ``workflow``, by id, whom to call. Classes are instantiated, once for all tasks of
    the agent.

    ``agents``: a mapping of names, in any spelling, to objects, classes or functions; or a module, whose public classes
    are its agents. Raises MissingAgents with everything that does not fit, before any task has run.
    """
    faults: list[Fault] = [
        Fault(("context", key), "is given by the workflow itself", "another key")
        for key in GIVEN_KEYS
        if key in context
    ]
    by_name = _by_name(agents, faults)
    found: dict[str, Callee] = {}
    objects: dict[str, Any] = {}
    broken: set[str] = set()
    missing: dict[str, Fault] = {}
    for i, task in enumerate(workflow.tasks):
        agent = canonical(task.agent)
        if agent not in by_name:
            near = get_close_matches(agent, by_name, n=1)
            hint = f"; there is {near[0]}" if near else ""
            missing.setdefault(agent, Fault(("tasks", i, "agent"), f"no agent {agent} was given{hint}", HOW_TO_GIVE))
            continue
        if agent not in objects:
            if agent in broken:
                continue
            try:
                objects[agent] = _instance(by_name[agent])
            except Exception as error:  # noqa: BLE001 - the class is the caller's; what it raises is told
                broken.add(agent)
                said = f"{by_name[agent].__name__}() raised {type(error).__name__}: {message_of(error)}"
                faults.append(Fault(("agents", agent), said, "a class that needs no arguments, or an object"))
                continue
        callee = _callee(task, agent, objects[agent], context)
        if isinstance(callee, str):
            faults.append(Fault(("tasks", i, "task"), callee))
        else:
            found[task.id] = callee
    if faults or missing:
        raise MissingAgents(workflow.name, [*missing.values(), *faults], tuple(missing))
    return found


def _by_name(agents: object, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(agents, ModuleType):
        public = getattr(agents, "__all__", None) or [name for name in vars(agents) if not name.startswith("_")]
        named = {name: getattr(agents, name) for name in public}
        return {canonical(name): value for name, value in named.items() if isinstance(value, type)}
    if not isinstance(agents, Mapping):
        raise TypeError(f"run_workflow: agents must be a mapping or a module, not {agents!r}")
    found: dict[str, Any] = {}
    for name, value in agents.items():
        if not isinstance(name, str):
            raise TypeError(f"run_workflow: agents: {name!r} is not a name")
        if canonical(name) in found:
            faults.append(Fault(("agents", name), f"{canonical(name)} is given twice", "one object per agent"))
        found[canonical(name)] = value
    return found


def _instance(given: Any) -> Any:
    return given() if isinstance(given, type) else given


def _callee(task: WorkflowTask, agent: str, given: Any, context: Mapping[str, Any]) -> Callee | str:
    """Whom to call, or why nobody can be."""
    method = getattr(given, task.task, None) if task.task.isidentifier() and not task.task.startswith("_") else None
    if callable(method):
        arguments = _by_parameter(method, context)
        if isinstance(arguments, str):
            return f"{agent}.{task.task}{arguments}"
        return Callee(agent, method, arguments)
    if not callable(given):
        methods = [name for name in dir(given) if not name.startswith("_") and callable(getattr(given, name, None))]
        near = get_close_matches(task.task, methods, n=1)
        return f"{agent} has no method {task.task!r}" + (f", did you mean {near[0]!r}?" if near else "")
    if _takes(given, 2):
        return Callee(agent, given, lambda context: ((task, context), {}))
    return f"the function for {agent} must take (task, context)"


def _takes(function: Callable[..., Any], positional: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * positional)
    except TypeError:
        return False
    except ValueError:  # a built-in that does not tell: the call will
        return True
    return True


def _by_parameter(method: Callable[..., Any], context: Mapping[str, Any]) -> Arguments | str:
    """Parameters get what the context has under their names, and the context itself under ``context``; what has a
    default and is not there keeps it."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # a built-in that does not tell
        parameters = MappingProxyType({}).values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = {"context", *GIVEN_KEYS, *context}
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    lacking = [name for name in needed if name not in known or name not in {p.name for p in named}]
    if lacking:
        return f" needs {', '.join(lacking)}: give {'it' if len(lacking) == 1 else 'them'} in the context"
    wanted = [p.name for p in named if p.name in known]

    def arguments(context: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {name: context if name == "context" else context[name] for name in wanted}

    return arguments
