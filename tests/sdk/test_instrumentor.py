"""``opentelemetry-instrument python app.py``: the real command, sending to a real receiver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.receivers import HttpReceiver

COMMAND = Path(sys.executable).with_name("opentelemetry-instrument")

AGENTS = """
class Research:
    def look_up(self, question):
        return self._answer(question)

    async def summarise(self, paper):
        return paper.upper()

    def _answer(self, question):
        return f"an answer to {question}"


class Other:
    def leave_me(self):
        return 1


class Outer:
    class Inner:
        def work(self):
            return 2
"""

TOOLS = """
from collections import OrderedDict


class Search:
    @staticmethod
    def find(query):
        return [query]


class Write:
    def write(self, text):
        yield text


class _Private:
    def hidden(self):
        return 3
"""

APP = """
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from library.agents import Other, Outer, Research
from library.tools import OrderedDict, Search, Write, _Private


class Main:
    def run(self):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(Search.find, "owls").result() == ["owls"]
        assert Research().look_up("why?") == "an answer to why?"


assert asyncio.run(Research().summarise("a")) == "A"
assert list(Write().write("b")) == ["b"]
assert Outer.Inner().work() == 2
Other().leave_me()
_Private().hidden()
OrderedDict(a=1).items()
Main().run()
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    library = tmp_path / "library"
    library.mkdir()
    (library / "__init__.py").touch()
    (library / "agents.py").write_text(AGENTS)
    (library / "tools.py").write_text(TOOLS)
    program = tmp_path / "app.py"
    program.write_text(APP)
    return program


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


@pytest.fixture
def instrument(app: Path, receiver: HttpReceiver) -> Callable[..., str]:
    """Run the program under the command; what it writes to standard error."""

    def run(program: str | None = None, **variables: str) -> str:
        if program is not None:
            app.write_text(program)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BMAD_"))}
        done = subprocess.run(
            [COMMAND, sys.executable, app],
            env=environment | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_SERVICE_NAME": "library",
                "BMAD_OTEL_RAISE_INTERNAL": "1",
                **variables,
            },
            cwd=app.parent, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        return done.stderr

    return run


def names(receiver: HttpReceiver) -> list[str]:
    return sorted(span.name for span in receiver.spans())


def test_classes_become_agents_without_touching_their_code(
    instrument: Callable[..., str], receiver: HttpReceiver
) -> None:
    told = instrument(BMAD_OTEL_INSTRUMENT="library.agents:Research, library.tools:*, library.agents:Outer.Inner")
    assert told == ""
    assert names(receiver) == [
        "invoke_agent Inner", "invoke_agent Research", "invoke_agent Research", "invoke_agent Search",
        "invoke_agent Write",
    ]  # fmt: skip
    assert receiver.resources("traces")[0]["service.name"] == "library"
    durations = receiver.metrics()["gen_ai.invoke_agent.duration"]
    points = durations.histogram.data_points or durations.exponential_histogram.data_points
    assert sum(point.count for point in points) == 5


def test_host_metrics_and_their_variable(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    assert instrument("", BMAD_OTEL_HOST_METRICS="true") == ""
    assert {"process.cpu.time", "process.memory.usage", "system.cpu.time"} <= set(receiver.metrics())
    receiver.requests["metrics"].clear()
    assert instrument("", BMAD_OTEL_HOST_METRICS="false") == ""
    assert not [name for name in receiver.metrics() if name.startswith(("process.", "system."))]
    told = instrument("", BMAD_OTEL_HOST_METRICS="sometimes")
    assert told.count("\n") == 1
    assert "BMAD_OTEL_HOST_METRICS: 'sometimes' is ignored; known are auto, true and false" in told
    assert "process.cpu.time" in receiver.metrics()


def test_host_metrics_once_beside_configure(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    assert instrument("from bmad_otel import configure; configure()", BMAD_OTEL_HOST_METRICS="true") == ""
    points = receiver.metrics()["process.cpu.time"].sum.data_points
    assert len(points) == len({str(point.attributes) for point in points})
    assert sum(metric.name == "process.cpu.time" for metric in all_metrics(receiver.requests["metrics"][-1])) == 1
    assert "system.cpu.time" in receiver.metrics()


def all_metrics(request: Any) -> Iterator[Any]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def test_threads_keep_the_parent(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    program = """
import threading
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import trace
from library.tools import Search

with trace.get_tracer("app").start_as_current_span("parent"), ThreadPoolExecutor(1) as pool:
    pool.submit(Search.find, "owls").result()
    thread = threading.Thread(target=Search.find, args=["owls"])
    thread.start()
    thread.join()
"""
    assert instrument(program, BMAD_OTEL_INSTRUMENT="library.tools:Search") == ""
    (parent,) = [span for span in receiver.spans() if span.name == "parent"]
    children = [span for span in receiver.spans() if span.name == "invoke_agent Search"]
    assert [span.parent_span_id for span in children] == [parent.span_id] * 2


def test_bad_entries_cost_one_warning_each(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    told = instrument(
        BMAD_OTEL_INSTRUMENT="library.agents, library.agents:Nobody,:x,library:*,__main__:Main,"
        "library.agents:Research,library.agents:Nobody,",
        BMAD_OTEL_RAISE_INTERNAL="0",
    )
    assert sorted(told.splitlines()) == [
        "bmad_otel: BMAD_OTEL_INSTRUMENT: ':x' is ignored: write module:Class or module:*",
        "bmad_otel: BMAD_OTEL_INSTRUMENT: '__main__:Main' is ignored: the main program is not imported; move the class "
        "to a module, or decorate it",
        "bmad_otel: BMAD_OTEL_INSTRUMENT: 'library.agents' is ignored: write module:Class or module:*",
        "bmad_otel: BMAD_OTEL_INSTRUMENT: 'library.agents:Nobody' is ignored: the module has no such class",
        "bmad_otel: BMAD_OTEL_INSTRUMENT: 'library:*' is ignored: the module defines no public class",
    ]
    assert names(receiver) == ["invoke_agent Research", "invoke_agent Research"]


def test_the_sdk_disabled(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    assert instrument(OTEL_SDK_DISABLED="true", BMAD_OTEL_INSTRUMENT="library.agents:Research") == ""
    assert not any(receiver.requests.values())


def test_uninstrument_undoes_it(instrument: Callable[..., str], receiver: HttpReceiver) -> None:
    program = """
import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import trace

from bmad_otel.instrumentor import BmadOtelInstrumentor
from library.agents import Research

instrumentor = BmadOtelInstrumentor()
start, submit, tracked = threading.Thread.start, ThreadPoolExecutor.submit, vars(Research)["look_up"]

instrumentor.uninstrument()
assert vars(Research)["look_up"] is tracked.__wrapped__
assert threading.Thread.start is start.__wrapped__
assert ThreadPoolExecutor.submit is submit.__wrapped__

from library.tools import Search, Write

before = dict(vars(Search))
Research().look_up("untracked")
Search.find("untracked")

if AGAIN:
    instrumentor.instrument()
    assert vars(Search)["find"] is not before["find"]
    Search.find("tracked")
"""
    entries = "library.agents:Research,library.tools:*"
    again = program.replace("AGAIN", "True")
    assert instrument(program.replace("AGAIN", "False"), BMAD_OTEL_INSTRUMENT=entries) == ""
    assert names(receiver) == []
    assert "process.cpu.time" not in receiver.metrics()
    assert instrument(again, BMAD_OTEL_INSTRUMENT=entries, BMAD_OTEL_HOST_METRICS="true") == ""
    assert names(receiver) == ["invoke_agent Search"]
    cpu_time = receiver.metrics()["process.cpu.time"]
    assert len(cpu_time.sum.data_points) == len({str(point.attributes) for point in cpu_time.sum.data_points})


def test_what_uninstrument_finds_replaced_it_leaves(instrument: Callable[..., str]) -> None:
    program = """
from bmad_otel.instrumentor import BmadOtelInstrumentor
from library.agents import Research

Research.look_up = "mine"
BmadOtelInstrumentor().uninstrument()
assert Research.look_up == "mine"
assert not hasattr(Research.summarise, "__wrapped__")
"""
    assert instrument(program, BMAD_OTEL_INSTRUMENT="library.agents:Research") == ""
