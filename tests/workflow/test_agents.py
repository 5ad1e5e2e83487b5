"""Whom a task is given to, and what is said when nobody fits: before anything runs."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from bmad_otel.workflow import MissingAgents, Workflow, WorkflowTask, run_workflow


def one(agent: str, task: str) -> Workflow:
    return Workflow("w", (WorkflowTask("it", agent, task),))


class Backend:
    def __init__(self) -> None:
        self.calls = 0

    def build_api(self, context: dict[str, Any]) -> str:
        self.calls += 1
        return f"{context['task_id']} {self.calls}"

    def deploy(self, target: str, *, dry: bool = False, inputs: Any = None, replicas: int = 2) -> tuple[Any, ...]:
        return target, dry, inputs, replicas

    def plain(self) -> str:
        return "plain"


@pytest.mark.parametrize("given", ["backend", "BackendDeveloper", "back-end_developer", "BackendDeveloperAgent"])
@pytest.mark.parametrize("wanted", ["backend", "backend-developer"])
def test_agents_are_found_under_every_spelling(given: str, wanted: str) -> None:
    result = run_workflow(one(wanted, "build_api"), {given: Backend()})
    assert (result.tasks["it"].agent, result.tasks["it"].result) == ("BackendDeveloper", "it 1")


def test_a_class_is_instantiated_once_for_all_tasks_of_its_agent() -> None:
    tasks = tuple(WorkflowTask(f"t{i}", "backend", "build_api", (f"t{i - 1}",) if i else ()) for i in range(3))
    result = run_workflow(Workflow("w", tasks), {"backend": Backend})
    assert [task.result for task in result.tasks.values()] == ["t0 1", "t1 2", "t2 3"]


def test_a_module_gives_its_public_classes() -> None:
    module = types.ModuleType("team")
    vars(module).update(BackendDeveloper=Backend, _Hidden=Backend, number=1)
    assert run_workflow(one("backend", "plain"), module).tasks["it"].result == "plain"
    with pytest.raises(MissingAgents):
        run_workflow(one("Hidden", "plain"), module)


def test_a_method_gets_what_it_has_parameters_for() -> None:
    context = {"target": "prod", "dry": True, "colour": "blue"}
    result = run_workflow(one("backend", "deploy"), {"backend": Backend()}, context=context)
    assert result.tasks["it"].result == ("prod", True, {}, 2)


def test_everyone_who_is_missing_is_named_at_once() -> None:
    workflow = Workflow("w", (WorkflowTask("a", "test", "x"), WorkflowTask("b", "security", "y")))
    with pytest.raises(MissingAgents) as caught:
        run_workflow(workflow, {"TestEnginer": Backend()})
    assert caught.value.missing == ("TestEngineer", "SecurityDeveloper")
    assert "no agent TestEngineer was given; there is TestEnginer" in str(caught.value)
    assert "{name: object with the tasks as methods, or function(task, context)}" in str(caught.value)


class NeedsMore:
    def __init__(self, address: str) -> None: ...


def takes_one(_task: object) -> None: ...


@pytest.mark.parametrize(
    ("agents", "task", "said"),
    [
        (
            {"backend": Backend()},
            "build_apis",
            "has no method 'build_apis', did you mean 'build_api'?",
        ),
        ({"backend": Backend()}, "_secret", "BackendDeveloper has no method '_secret'"),
        ({"backend": Backend()}, "deploy", "BackendDeveloper.deploy needs target: give it in the context"),
        ({"backend": NeedsMore}, "x", "NeedsMore() raised TypeError"),
        ({"backend": takes_one}, "x", "the function for BackendDeveloper must take (task, context)"),
        ({"backend": Backend(), "BackendDeveloper": Backend()}, "plain", "BackendDeveloper is given twice"),
        ({"backend": None}, "plain", "BackendDeveloper has no method 'plain'"),
    ],
)
def test_what_does_not_fit(agents: dict[str, Any], task: str, said: str) -> None:
    with pytest.raises(MissingAgents) as caught:
        run_workflow(one("backend", task), agents)
    assert said in str(caught.value)


def test_nothing_runs_when_something_does_not_fit() -> None:
    backend = Backend()
    workflow = Workflow("w", (WorkflowTask("a", "backend", "build_api"), WorkflowTask("b", "test", "x")))
    with pytest.raises(MissingAgents):
        run_workflow(workflow, {"backend": backend})
    assert backend.calls == 0


def test_keys_that_the_workflow_fills_are_not_the_callers() -> None:
    with pytest.raises(MissingAgents, match=r"context\.inputs: is given by the workflow itself"):
        run_workflow(one("backend", "plain"), {"backend": Backend()}, context={"inputs": {}})


@pytest.mark.parametrize("agents", [[Backend()], None, {1: Backend()}])
def test_agents_of_the_wrong_kind(agents: Any) -> None:
    with pytest.raises(TypeError, match="run_workflow: agents"):
        run_workflow(one("backend", "plain"), agents)


def test_a_built_in_that_tells_no_signature_is_called_without_arguments() -> None:
    class Clock:
        tick: Callable[..., Any] = staticmethod(dict)

    assert run_workflow(one("clock", "tick"), {"clock": Clock()}).tasks["it"].result == {}
