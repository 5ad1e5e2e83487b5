"""An application that uses Logfire or Traceloop keeps working unchanged with ours added: their real packages.

The programs run in the vendors' own environments, which tests/integration/setup.sh makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.receivers import HttpReceiver

pytestmark = pytest.mark.integration

VENDORS = Path(__file__).with_name("vendors")
OUR_SCOPE = "bmad_otel"

_OF_THE_STACK = {"logfire.exception.fingerprint"}
"""Attributes made of the frames an exception came through, among which is that of any wrapper."""


@dataclass
class Run:
    """What a program said: its spans, what else it printed, and how long it took to end."""

    spans: list[dict[str, Any]]
    printed: list[str]
    errors: str
    exit_s: float

    def __post_init__(self) -> None:
        self._by_id = {span["id"]: span for span in self.spans}

    def path(self, span: dict[str, Any], *, with_ours: bool) -> tuple[str, ...]:
        """The names above ``span``, the nearest first."""
        names = []
        while (parent := self._by_id.get(span["parent"])) is not None:
            assert parent["trace"] == span["trace"]
            if with_ours or parent["scope"] != OUR_SCOPE:
                names.append(parent["name"])
            span = parent
        assert span["parent"] is None, "the parent is a span that nobody has seen"
        return tuple(names)

    def of_vendor(self) -> Counter[str]:
        """The vendor's spans with all there is to them, as if ours were not there."""
        return Counter(
            json.dumps(
                {key: span[key] for key in ("scope", "name", "attributes", "status", "events", "resource")}
                | {"attributes": {key: value for key, value in span["attributes"].items() if key not in _OF_THE_STACK}}
                | {"path": self.path(span, with_ours=False)},
                sort_keys=True,
            )
            for span in self.spans
            if span["scope"] != OUR_SCOPE
        )

    def ours(self) -> Counter[tuple[str, str | None]]:
        """Our spans, each with the name of its parent."""
        return Counter(
            (span["name"].removeprefix("invoke_agent "), next(iter(self.path(span, with_ours=True)), None))
            for span in self.spans
            if span["scope"] == OUR_SCOPE
        )


def start(vendor: str, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [VENDORS / ".venv" / vendor / "bin" / "python", program, *arguments],
        cwd=VENDORS,
        env={"PATH": os.defpath, "BMAD_OTEL_RAISE_INTERNAL": "1", **variables},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def run(vendor: str, mode: str, home: Path, endpoint: str = "", **variables: str) -> Run:
    done = start(vendor, "program.py", vendor, mode, *([endpoint] if endpoint else []), HOME=str(home), **variables)
    ended_s = time.time()
    *printed, said = done.stdout.splitlines()
    found = json.loads(said)
    return Run(found["spans"], printed, done.stderr, ended_s - found["end_s"])


@pytest.fixture(scope="module", params=["logfire", "traceloop"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Run]:
    """The vendor, a home for its files, and its program without ours."""
    home = tmp_path_factory.mktemp("home")
    return request.param, home, run(request.param, "alone", home)


def parents(vendor: str, *, threads: bool) -> Counter[tuple[str, str | None]]:
    """Our spans as `scenario.play` makes them, each with its parent. ``threads``: whether plain threads are linked."""

    def theirs(name: str) -> str:
        if vendor == "logfire":
            return name
        return f"{name}.workflow" if name.startswith("around") else f"{name}.task"

    # a thread and a timer, besides what goes through executors
    linked, unlinked = (6, 0) if threads else (4, 2)
    return Counter(
        {
            ("Plain", theirs("around plain")): 1,
            ("Plain", theirs("their generator")): 2,
            ("Plain", None): 1,
            ("Failing", theirs("around failing")): 1,
            ("Async", theirs("around async")): 3,
            ("Async", theirs("their async generator")): 2,
            ("Waiting", theirs("cancelled")): 1,
            ("Generator", theirs("consumer")): 2,
            ("Consumer", None): 1,
            ("Async generator", theirs("async consumer")): 2,
            ("Async consumer", None): 1,
            ("Around threads", None): 1,
            ("In thread", theirs("around threads")): linked,
            ("In thread", "invoke_agent Around threads"): linked,
            ("In thread", None): 2 * unlinked,
        }
    )


def linked(vendor: str, without: Run) -> Counter[str]:
    """What the vendor's spans are to be where `bmad_otel.configure` links plain threads too.

    Logfire links executors only: what it records in the thread and the timer below its function has that above it now.
    """
    expected = without.of_vendor()
    if vendor == "logfire":
        for text in list(expected):
            span = json.loads(text)
            if span["attributes"].get("number") in (52, 53):
                assert (expected[text], span["path"]) == (2, []), "one below its function, one below ours"
                expected[text] = 1
                expected[json.dumps(span | {"path": ["around threads"]}, sort_keys=True)] = 1
    return expected


def test_our_decorators_alone_change_nothing(alone: tuple[str, Path, Run]) -> None:
    vendor, home, without = alone
    found = run(vendor, "beside", home)
    assert found.of_vendor() == without.of_vendor()
    assert found.ours() == +parents(vendor, threads=vendor == "traceloop")
    assert (found.printed, found.errors) == (without.printed, without.errors)


def test_configured_beside_the_vendor(alone: tuple[str, Path, Run]) -> None:
    """Where no exporter is asked for, none is added, and the vendor's gets our spans."""
    vendor, home, without = alone
    found = run(vendor, "configured", home, OTEL_METRICS_EXPORTER="none")
    assert found.of_vendor() == linked(vendor, without)
    assert found.ours() == +parents(vendor, threads=True)
    assert (found.printed, found.errors) == (without.printed, without.errors)


def test_both_exporters_get_everything(alone: tuple[str, Path, Run]) -> None:
    vendor, home, without = alone
    with HttpReceiver() as receiver:
        found = run(vendor, "configured", home, receiver.endpoint)
        assert found.of_vendor() == linked(vendor, without)
        assert found.ours() == +parents(vendor, threads=True)
        assert (found.printed, found.errors) == (without.printed, without.errors)
        assert found.exit_s < 5

        arrived = {int.from_bytes(span.span_id): span for span in receiver.spans()}
        assert len(arrived) == len(receiver.spans()), "nothing is sent twice"
        assert {span["id"] for span in found.spans} <= set(arrived)
        for span in found.spans:
            assert arrived[span["id"]].name == span["name"]
            assert int.from_bytes(arrived[span["id"]].parent_span_id) == (span["parent"] or 0)
        metrics = receiver.metrics()
        durations = metrics["gen_ai.invoke_agent.duration"]
        points = [*durations.histogram.data_points, *durations.exponential_histogram.data_points]
        assert sum(point.count for point in points) == sum(found.ours().values())


def test_the_program_ends_in_time_when_our_receiver_is_dead(alone: tuple[str, Path, Run]) -> None:
    vendor, home, without = alone
    found = run(vendor, "configured", home, "http://127.0.0.1:9")
    assert found.of_vendor() == linked(vendor, without)
    assert found.exit_s < without.exit_s + 5
    assert "Traceback" not in found.errors


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pool_below_logfire(method: str, tmp_path: Path) -> None:
    done = start("logfire", "process_pool.py", method, HOME=str(tmp_path))
    seen, expected = json.loads(done.stdout)
    assert seen == expected
    assert done.stderr == ""


def test_threads_beside_opentelemetrys_instrumentation_in_every_order(tmp_path: Path) -> None:
    """Its instrumentor, which Traceloop turns on, cannot be taken away below ours: a pool stays linked then."""
    done = start("traceloop", "orders.py", HOME=str(tmp_path))
    told = json.loads(done.stdout)
    assert len(told) == 6 * 4
    stays = False
    for said in told:
        stays |= said["step"] == "theirs off" and said["on"] == ["ours"] and said["order"][0] == "theirs on"
        assert said["span"] == (["parent"] * 3 if said["on"] else ["parent" if stays else None, None, None]), said
        assert said["none"] == [None] * 3, said
    assert done.stderr == ""
