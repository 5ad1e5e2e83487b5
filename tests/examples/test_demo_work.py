"""What the agents of the demo do is real: each one is right about a small world that it is given."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.agent_names import CANONICAL
from examples.demo.agents_process import AGENTS
from examples.demo.backlog_server import Backlog, estimate, rank
from examples.demo.work.agent import Surroundings
from examples.demo.work.architect import Architect, components, imports_of, module_name
from examples.demo.work.data_engineer import DataEngineer
from examples.demo.work.documentation_agent import DocumentationAgent
from examples.demo.work.quality_guardian import QualityGuardian
from examples.demo.work.review_queue import ReviewQueue
from examples.demo.work.security_developer import findings_in
from examples.demo.work.test_engineer import WITH_EXAMPLES, TestEngineer


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path, "http://127.0.0.1:1")


def test_at_least_seven_agents_under_their_bmad_names() -> None:
    assert len(AGENTS) >= 7
    assert set(AGENTS) <= set(CANONICAL)


@pytest.mark.parametrize("name", sorted(set(AGENTS) - {"ProductOwner"}))
def test_every_agent_gets_through_its_first_tasks(name: str, surroundings: Surroundings, tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path)
    queue.put([Path(__file__)] * 5)
    queue.close()
    agent: Any = AGENTS[name](surroundings)
    for task in itertools.islice(agent.tasks(), 5):
        assert task is not None
        result = task()
        if inspect.iscoroutine(result):
            asyncio.run(result)


class TestArchitectAtWork:
    def test_resolves_relative_imports(self) -> None:
        source = "import os.path\nfrom . import b\nfrom ..c import d\n"
        assert imports_of(source, "p.q.a", is_package=False) == {"os.path", "p.q", "p.q.b", "p.c", "p.c.d"}
        assert imports_of("from .x import y\n", "p", is_package=True) == {"p.x", "p.x.y"}
        assert imports_of("not python", "p", is_package=False) == set()

    def test_names_modules(self, tmp_path: Path) -> None:
        assert module_name(tmp_path / "a" / "b.py", tmp_path) == "a.b"
        assert module_name(tmp_path / "a" / "__init__.py", tmp_path) == "a"

    def test_finds_cycles_and_nothing_else(self) -> None:
        graph = {"a": {"b"}, "b": {"c", "unknown"}, "c": {"a"}, "d": {"a", "e"}, "e": set(), "f": {"g"}, "g": {"f"}}
        assert sorted(map(sorted, components(graph))) == [["a", "b", "c"], ["d"], ["e"], ["f", "g"]]

    def test_survives_a_chain_longer_than_the_stack(self) -> None:
        graph = {str(n): {str(n + 1)} for n in range(5000)} | {"5000": {"0"}}
        assert [len(group) for group in components(graph)] == [5001]

    def test_tells_the_cycles_of_files(self, surroundings: Surroundings, tmp_path: Path) -> None:
        for name, other in (("one", "two"), ("two", "one"), ("three", "one")):
            (tmp_path / f"{name}.py").write_text(f"import {other}\n")
        architect = Architect(surroundings)
        architect.survey(tmp_path, sorted(tmp_path.glob("*.py")))
        assert [sorted(cycle) for cycle in architect.find_cycles()] == [["one", "two"]]


class TestTestEngineerAtWork:
    def test_names_questionable_places(self, surroundings: Surroundings, tmp_path: Path) -> None:
        file = tmp_path / "m.py"
        file.write_text("def f(x=[]):\n    try:\n        return x == None\n    except:\n        return x\n")
        failed = TestEngineer(surroundings).check_module(file).failed
        assert sorted(failed) == [
            "m.py:1: mutable default", "m.py:3: comparison with None by ==", "m.py:4: bare except",
        ]  # fmt: skip

    def test_tells_what_does_not_compile(self, surroundings: Surroundings, tmp_path: Path) -> None:
        (tmp_path / "m.py").write_text("x = 1\nbreak\n")
        assert TestEngineer(surroundings).check_module(tmp_path / "m.py").failed == ("m.py:2: 'break' outside loop",)

    @pytest.mark.parametrize("module", WITH_EXAMPLES)
    def test_examples_are_run(self, module: str, surroundings: Surroundings) -> None:
        report = TestEngineer(surroundings).run_examples(module)
        assert report.checked > 0
        assert report.failed == ()


def test_security_developer_finds_secrets_but_not_placeholders() -> None:
    source = (
        "password = 'xxxxxxxxxxxxxxxx'\n"
        "api_key = 'q8Zr2LmV0pTy7KsW'\n"
        "os.system(command)\n"
        "model.eval()\n"
        "value = eval(text)\n"
    )
    found = [(finding.line, finding.what) for finding in findings_in("f.py", source)]
    assert sorted(found) == [(2, "token in code"), (3, "shell"), (5, "eval or exec")]


def test_data_engineer_answers_agree_with_each_other(surroundings: Surroundings) -> None:
    engineer = DataEngineer(surroundings)
    for _ in range(14):
        count = engineer.load_orders()
    assert count == 12_000
    regions = engineer.revenue_by_region()
    assert sum(row[1] for row in regions) == 12_000
    assert [row[2] for row in regions] == sorted((row[2] for row in regions), reverse=True)
    assert len(engineer.moving_average()) == 365
    assert len(engineer.best_customers()) == 12


def test_documentation_agent_finds_what_it_has_read(surroundings: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text('"""Animals."""\ndef feed():\n    """Give bananas to the monkeys."""\n')
    (tmp_path / "shop.py").write_text('"""Sells bread and milk."""\n')
    agent = DocumentationAgent(surroundings)

    async def ask() -> list[tuple[str, float]]:
        assert await agent.search("bananas") == []
        for path in tmp_path.glob("*.py"):
            await agent.index_module(path)
        return await agent.search("who eats bananas")

    [(name, score)] = asyncio.run(ask())
    assert name == "zoo.feed"
    assert score > 0


def test_quality_guardian_streams_its_findings(surroundings: Surroundings, tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    branches = "\n".join(f"    if x == {n}:\n        return {n}" for n in range(40))
    file.write_text(f"# TODO: shorten\ndef f(x):\n{branches}\n")
    guardian = QualityGuardian(surroundings)

    async def collect() -> list[str]:
        return [finding.what async for finding in guardian.review(file)]

    assert asyncio.run(collect()) == ["unfinished", "complex function", "long function", "undocumented function"]


def test_review_queue_hands_out_each_file_once(tmp_path: Path) -> None:
    expected = [Path(f"/{n}.py") for n in range(60)]
    first = ReviewQueue(tmp_path)
    first.put(expected)
    assert first.size() == 60

    def drain(_: int) -> list[Path]:
        queue = ReviewQueue(tmp_path)
        taken = list(iter(queue.take, None))
        queue.close()
        return taken

    with ThreadPoolExecutor(3) as pool:
        taken = list(itertools.chain.from_iterable(pool.map(drain, range(3))))
    assert sorted(map(str, taken)) == sorted(map(str, expected))
    first.close()


class TestBacklog:
    @pytest.fixture
    def backlog(self, tmp_path: Path) -> Backlog:
        (tmp_path / "backlog.json").write_text("[]")
        return Backlog(tmp_path / "backlog.json")

    def test_ranks_by_value_for_effort(self) -> None:
        ideas = [{"title": t, "value": v, "effort": e} for t, v, e in (("a", 1, 2), ("b", 9, 1), ("c", 4, 2))]
        assert [idea["title"] for idea in rank(ideas)] == ["b", "c", "a"]

    def test_keeps_the_best(self, backlog: Backlog) -> None:
        backlog.add([f"idea {n}" for n in range(30)])
        best = backlog.ranking(5)
        assert best["size"] == 30
        assert backlog.groom(5) == {"size": 5}
        assert backlog.ranking(5)["items"] == best["items"]

    def test_estimates_are_the_same_every_time(self) -> None:
        assert estimate("x") == estimate("x") != estimate("y")

    def test_without_its_file_it_fails(self, backlog: Backlog, tmp_path: Path) -> None:
        (tmp_path / "backlog.json").unlink()
        with pytest.raises(FileNotFoundError):
            backlog.ranking(1)


def test_sqlite_is_new_enough_for_the_queue() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)
