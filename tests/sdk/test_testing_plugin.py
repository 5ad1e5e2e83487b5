"""The pytest plugin, in real runs of pytest: what a user's own tests see."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bmad_otel import track_task
from bmad_otel.testing import ManualClock, Telemetry

from .conftest import Telemetry as OurTelemetry

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

AGENTS = """
from bmad_otel import track_task, track_tool

class Planner:
    @track_task
    def plan(self, goal):
        found = self.search(goal)
        if not found:
            raise LookupError(goal)
        return found

    @track_tool
    def search(self, goal):
        return goal.upper()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run a test file in a process of its own, as a user does, without any OTEL_ variable but those given."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "BMAD_OTEL_", "PYTEST_XDIST")):
            monkeypatch.delenv(name)

    def call(source: str, *args: str, **variables: str) -> pytest.RunResult:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        pytester.makepyfile(agents=AGENTS, test_it=source)
        return pytester.runpytest_subprocess("-q", "-W", "error", *args)

    return call


Run = Callable[..., pytest.RunResult]


def test_what_ran_in_what_and_how_it_ended(run: Run) -> None:
    run(
        """
        import pytest
        from agents import Planner

        def test_spans(bmad_telemetry):
            with pytest.raises(LookupError):
                Planner().plan("")
            search, plan = bmad_telemetry.spans  # in the order they ended
            assert (plan.name, plan.agent, plan.task, plan.operation) == (
                "invoke_agent Planner", "Planner", "plan", "invoke_agent")
            assert (plan.outcome, plan.error_type, plan.status) == ("error", "LookupError", "error")
            assert (search.outcome, search.error_type, search.events) == ("ok", None, ())
            assert plan.attributes["gen_ai.agent.name"] == "Planner"
            assert plan.scope == "bmad_otel"
            [event] = plan.events
            assert (event.name, event.attributes["exception.type"]) == ("exception", "LookupError")
            assert search.trace_id == plan.trace_id
            assert search.parent is plan and search.parent_id == plan.span_id
            assert plan.parent is None and plan.parent_id is None
            assert plan.children == [search] and search.children == []
            assert 0 < search.duration_s <= plan.duration_s

        def test_records_cannot_be_changed(bmad_telemetry):
            Planner().plan("a")
            plan = bmad_telemetry.task("Planner", "plan")
            with pytest.raises(AttributeError):
                plan.name = "other"
            with pytest.raises(TypeError):
                plan.attributes["a"] = 1

        def test_tree(bmad_telemetry):
            from opentelemetry import trace
            with trace.get_tracer("mine").start_as_current_span("request"):
                Planner().plan("a")
                assert bmad_telemetry.tree() == '''
        request: running
          invoke_agent Planner (plan): ok
            execute_tool search: ok'''.replace("\\n        ", "\\n").strip()
            assert bmad_telemetry.tree().startswith("request\\n  invoke_agent")
            assert [span.task for span in bmad_telemetry.spans] == ["search", "plan", None]
            assert len(bmad_telemetry.tasks()) == 2

        def test_filters(bmad_telemetry):
            Planner().plan("a")
            Planner().plan("b")
            assert len(bmad_telemetry.tasks("Planner")) == 4
            assert len(bmad_telemetry.tasks(task="search", outcome="ok")) == 2
            assert bmad_telemetry.tasks("Nobody") == bmad_telemetry.tasks(outcome="error") == []
            with pytest.raises(ValueError, match="outcome must be one of 'ok'.*not 'okay'"):
                bmad_telemetry.tasks(outcome="okay")
            bmad_telemetry.clear()
            assert bmad_telemetry.spans == []
        """
    ).assert_outcomes(passed=4)


def test_a_failure_says_what_there_is(run: Run) -> None:
    result = run(
        """
        import agents
        from opentelemetry import trace

        def test_none(bmad_telemetry):
            agents.Planner().plan("a")
            with trace.get_tracer("mine").start_as_current_span("request"):
                bmad_telemetry.task("Planner", "paln", outcome="ok")

        def test_two(bmad_telemetry):
            agents.Planner().plan("a")
            bmad_telemetry.task(agent="Planner")

        def test_metric(bmad_telemetry):
            agents.Planner().plan("a")
            bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Planer")

        def test_kind(bmad_telemetry):
            agents.Planner().plan("a")
            bmad_telemetry.value("gen_ai.invoke_agent.duration")
        """
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E * AssertionError: no tasks with agent='Planner', task='paln', outcome='ok', expected exactly one; *:",
            "E *   execute_tool search: ok",
            "E *   invoke_agent Planner (plan): ok",
            "E * still running:",
            "E *   request: running",
            "E * AssertionError: 2 tasks with agent='Planner', expected exactly one; *",
            "E * AssertionError: no point of gen_ai.invoke_agent.duration with agent='Planer'; its points:",
            "E * {*gen_ai.agent.name='Planner'*} HistogramValue(count=1, *",
            "E * gen_ai.invoke_agent.duration is a histogram: ask histogram(*",
        ]
    )


def test_ids_count_from_one_in_each_test(run: Run) -> None:
    run(
        """
        import pytest
        from agents import Planner

        @pytest.mark.parametrize("n", range(3))
        def test_ids(bmad_telemetry, n):
            Planner().plan("a")
            Planner().plan("b")
            ids = [(s.trace_id[-2:], s.span_id[-2:], s.parent_id and s.parent_id[-2:]) for s in bmad_telemetry.spans]
            assert ids == [("01", "02", "01"), ("01", "01", None), ("02", "04", "03"), ("02", "03", None)]
            assert bmad_telemetry.spans[0].trace_id == 31 * "0" + "1"
        """
    ).assert_outcomes(passed=3)


def test_the_clock(run: Run) -> None:
    run(
        """
        import pytest
        from bmad_otel import track_task

        def test_durations(bmad_telemetry, bmad_clock):
            @track_task(agent="Slow")
            def work():
                bmad_clock.advance(0.25)

            @track_task(agent="Chief")
            def order():
                bmad_clock.advance(1)
                work()
                work()
                assert bmad_telemetry.value("bmad.agent.task.oldest_age", agent="Chief") == 1.5

            order()
            chief = bmad_telemetry.task("Chief")
            assert chief.duration_s == 1.5
            assert chief.start_unix_ns == 1735689600 * 10**9
            assert chief.children[1].start_unix_ns == chief.start_unix_ns + 1_250_000_000
            assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Slow").sum == 0.5
            assert bmad_telemetry.tree(with_durations=True).splitlines() == [
                "invoke_agent Chief (order): ok 1.5 s",
                "  invoke_agent Slow (work): ok 0.25 s",
                "  invoke_agent Slow (work): ok 0.25 s",
            ]
            assert bmad_clock.elapsed_s == 1.5

        def test_the_clock_is_given_back(bmad_telemetry):
            import time
            before_ns = time.time_ns()
            track_task(agent="Real")(lambda: None)()
            assert bmad_telemetry.task().start_unix_ns >= before_ns

        @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "1", True, None])
        def test_time_goes_forward(bmad_clock, seconds):
            with pytest.raises((TypeError, ValueError), match="advance: seconds must be a"):
                bmad_clock.advance(seconds)
            assert bmad_clock.elapsed_s == 0
        """
    ).assert_outcomes(passed=8)


def test_metrics(run: Run) -> None:
    run(
        """
        import pytest
        from opentelemetry import metrics
        from agents import Planner

        meter = metrics.get_meter("mine")
        counter = meter.create_counter("jobs")
        open_jobs = meter.create_up_down_counter("open")
        level = meter.create_gauge("level")

        @pytest.mark.parametrize("n", range(2))  # the second test begins at zero again
        def test_ours(bmad_telemetry, n):
            Planner().plan("a")
            assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Planner", task="plan").count == 1
            Planner().plan("b")
            with pytest.raises(LookupError):
                Planner().plan("")
            durations = bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Planner")
            assert durations.count == 3
            assert 0 < durations.min <= durations.max <= durations.sum
            errors = bmad_telemetry.histogram("gen_ai.invoke_agent.duration", outcome="error", error_type="LookupError")
            assert errors.count == 1
            assert bmad_telemetry.histogram("gen_ai.execute_tool.duration", tool="search").count == 3
            assert bmad_telemetry.value("bmad.agent.task.active", agent="Planner") == 0
            assert bmad_telemetry.value("bmad.agent.cpu.time", agent="Planner") >= 0

        @pytest.mark.parametrize("n", range(2))
        def test_those_of_others(bmad_telemetry, n):
            counter.add(1, {"kind": "a"})
            assert bmad_telemetry.value("jobs") == 1
            counter.add(2, {"kind": "a"})
            counter.add(4, {"kind": "b", "my.key": "x"})
            open_jobs.add(3)
            open_jobs.add(-1)
            level.set(7, {"of": "a"})
            level.set(8, {"of": "b"})
            assert bmad_telemetry.value("jobs") == 7
            assert bmad_telemetry.value("jobs", kind="a") == 3
            assert bmad_telemetry.value("jobs", **{"my.key": "x"}) == 4
            assert bmad_telemetry.value("open") == 2
            assert bmad_telemetry.value("level", of="b") == 8
            with pytest.raises(AssertionError, match="2 points of the gauge level"):
                bmad_telemetry.value("level")
            with pytest.raises(AssertionError, match="no metric 'joobs'.*\\n.*jobs"):
                bmad_telemetry.value("joobs")
            with pytest.raises(AssertionError, match="jobs is no histogram"):
                bmad_telemetry.histogram("jobs")
            assert {p.attributes["kind"]: p.value for p in bmad_telemetry.metrics["jobs"]} == {"a": 3, "b": 4}
        """
    ).assert_outcomes(passed=4)


def test_log_records(run: Run) -> None:
    run(
        """
        from opentelemetry import _logs
        from bmad_otel import track_task

        def test_logs(bmad_telemetry):
            @track_task(agent="Writer")
            def write():
                _logs.get_logger("mine").emit(
                    event_name="page.written", body="seven", severity_number=_logs.SeverityNumber.WARN,
                    attributes={"page": 7})

            write()
            [entry] = bmad_telemetry.logs
            assert (entry.event_name, entry.body, entry.severity) == ("page.written", "seven", "WARN")
            assert entry.attributes == {"page": 7}
            assert (entry.trace_id, entry.span_id) == (
                bmad_telemetry.task("Writer").trace_id, bmad_telemetry.task("Writer").span_id)

        def test_none_left(bmad_telemetry):
            assert bmad_telemetry.logs == []
        """
    ).assert_outcomes(passed=2)


def test_nothing_is_left_for_the_next_test(run: Run) -> None:
    run(
        """
        import os
        import bmad_otel
        from agents import Planner
        from opentelemetry import context, trace

        kept = []

        @bmad_otel.track_task(agent="Endless")
        def endless():
            yield 1

        def test_first(bmad_telemetry):
            generator = endless()
            next(generator)
            kept.append(generator)
            kept.append(bmad_telemetry)
            context.attach(trace.set_span_in_context(trace.get_tracer("mine").start_span("left over")))
            assert bmad_telemetry.value("bmad.agent.task.active", agent="Endless") == 1
            assert os.environ["BMAD_OTEL_RAISE_INTERNAL"] == "1"
            Planner().plan("a")

        def test_between():
            assert "BMAD_OTEL_RAISE_INTERNAL" not in os.environ
            assert "OTEL_SDK_DISABLED" not in os.environ
            assert trace.get_current_span() is trace.INVALID_SPAN
            Planner().plan("seen by nobody")
            assert not trace.get_tracer("mine").start_span("not made").is_recording()

        def test_second(bmad_telemetry):
            assert "bmad.agent.task.active" not in bmad_telemetry.metrics
            generator, first = kept
            generator.close()
            assert bmad_telemetry.tree() == ""
            Planner().plan("a")
            assert bmad_telemetry.task(task="plan").span_id == 15 * "0" + "1"
            assert len(first.tasks("Planner", "plan")) == 1
            assert first.value("bmad.agent.task.active", agent="Endless") == 1
            assert "invoke_agent Endless (endless): running" in first.tree()
        """
    ).assert_outcomes(passed=3)


def test_configure_and_shutdown_in_a_test_end_with_it(run: Run) -> None:
    """A program's main function may be tested: it connects to nothing, and the next test is tracked again."""
    run(
        """
        import logging
        import threading
        import pytest
        import bmad_otel
        from agents import Planner

        def main(name):
            bmad_otel.configure(service_name=name, endpoint="http://localhost:1")
            Planner().plan("a")
            bmad_otel.shutdown()

        @pytest.mark.parametrize("name", ["one", "two"])
        def test_main(bmad_telemetry, caplog, name):
            threads = threading.active_count()
            main(name)
            assert len(bmad_telemetry.tasks("Planner", "plan")) == 1
            assert threading.active_count() == threads
            assert caplog.messages == []

        def test_wrong_arguments_are_still_refused(bmad_telemetry):
            with pytest.raises(ValueError, match="protocol"):
                bmad_otel.configure(protocol="smoke signals")
        """
    ).assert_outcomes(passed=3)


def test_internal_errors_fail_the_test(run: Run) -> None:
    result = run(
        """
        from bmad_otel import track_task

        def test_it(bmad_telemetry):
            @track_task(agent="A", task_id=lambda: 1 / 0)
            def work(): ...
            work()
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*ZeroDivisionError*"])


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_variables_that_keep_a_test_run_from_sending(run: Run, variables: dict[str, str]) -> None:
    run(
        """
        import os
        from agents import Planner

        def test_it(bmad_telemetry):
            Planner().plan("a")
            assert len(bmad_telemetry.tasks()) == 2
            assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration").count == 1

        def test_variables_are_as_they_were():
            assert os.environ.get("OTEL_SDK_DISABLED") == """
        + repr(variables.get("OTEL_SDK_DISABLED")),
        **variables,
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize("how", ["configured", "own providers"])
def test_a_program_that_has_set_up_opentelemetry(run: Run, how: str) -> None:
    """Its providers are tapped; ids are its own, and what it exports to goes on getting everything."""
    set_up = {
        "configured": """
        import bmad_otel
        bmad_otel.configure(service_name="app", host_metrics=False, shutdown_timeout_s=0.1)
        """,
        "own providers": """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        exporter = InMemorySpanExporter()
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
        metrics.set_meter_provider(MeterProvider())
        """,
    }[how]
    tests = """
        import pytest
        from agents import Planner
        from opentelemetry.sdk.metrics import MeterProvider

        @pytest.mark.parametrize("n", range(2))
        def test_it(bmad_telemetry, n):
            Planner().plan("a")
            assert bmad_telemetry.tree() == "invoke_agent Planner (plan): ok\\n  execute_tool search: ok"
            if hasattr(MeterProvider, "add_metric_reader"):
                assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Planner").count == 1
                assert bmad_telemetry.value("bmad.agent.task.active", agent="Planner") == 0
            else:
                with pytest.raises(RuntimeError, match="takes no further reader"):
                    bmad_telemetry.metrics

        def test_without():
            Planner().plan("a")
    """
    check = "\n            assert len(exporter.get_finished_spans()) == 6\n" if how == "own providers" else ""
    run(set_up + tests + check, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("set_up", "message"),
    [
        ("trace.set_tracer_provider(trace.NoOpTracerProvider())", "*is a NoOpTracerProvider, not one of*"),
        (
            "import os; os.environ['OTEL_SDK_DISABLED'] = 'true'; trace.set_tracer_provider(TracerProvider())",
            "*made while OTEL_SDK_DISABLED was true*",
        ),
        ("bmad_otel.configure(); bmad_otel.shutdown()", "*bmad_otel.shutdown() was called in this process*"),
    ],
)
def test_what_cannot_be_captured_is_said(run: Run, set_up: str, message: str) -> None:
    result = run(
        f"""
        import bmad_otel
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        {set_up}

        def test_it(bmad_telemetry): ...
        """,
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E*RuntimeError: {message}"])


def test_metrics_of_a_provider_that_cannot_be_read(run: Run) -> None:
    run(
        """
        import pytest
        from agents import Planner
        from opentelemetry import metrics
        metrics.set_meter_provider(metrics.NoOpMeterProvider())

        def test_it(bmad_telemetry):
            Planner().plan("a")
            assert len(bmad_telemetry.tasks()) == 2
            with pytest.raises(RuntimeError, match="has set a NoOpMeterProvider that takes no further reader"):
                bmad_telemetry.metrics
        """
    ).assert_outcomes(passed=1)


def test_async_tests_on_several_workers(run: Run) -> None:
    """anyio's plugin runs the coroutines, xdist the processes."""
    run(
        """
        import asyncio
        import pytest
        from bmad_otel import track_task

        class Reader:
            @track_task
            async def read(self, page):
                await asyncio.sleep(0)
                return [word async for word in self.words(page)]

            @track_task
            async def words(self, page):
                yield page

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        @pytest.mark.parametrize("n", range(6))
        async def test_pages(bmad_telemetry, n):
            await asyncio.gather(*(Reader().read(page) for page in range(n)))
            reads = bmad_telemetry.tasks("Reader", "read")
            assert sorted(int(read.trace_id) for read in reads) == list(range(1, n + 1))
            assert all([child.task for child in read.children] == ["words"] for read in reads)
            if n:
                assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", task="read").count == n
        """,
        "-n",
        "2",
    ).assert_outcomes(passed=6)


def test_a_run_within_a_test_is_a_test_of_its_own(run: Run, pytester: pytest.Pytester) -> None:
    """pytester in the same process: the inner run neither sees nor changes what the outer test has reported."""
    run(
        """
        pytest_plugins = ["pytester"]
        from agents import Planner

        def test_outer(bmad_telemetry, bmad_clock, pytester):
            pytester.makepyfile('''
                from agents import Planner
                from bmad_otel import current_task

                def test_inner(bmad_telemetry, bmad_clock):
                    assert not current_task().is_running
                    bmad_clock.advance(5)
                    Planner().plan("inner")
                    plan = bmad_telemetry.task(task="plan")
                    assert (plan.span_id, plan.parent_id) == (15 * "0" + "1", None)
                    assert len(bmad_telemetry.spans) == 2
                    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration").count == 1
                ''')
            Planner().plan("before")

            class Outer(Planner):
                def search(self, goal):
                    pytester.runpytest_inprocess("-q").assert_outcomes(passed=1)
                    return goal

            bmad_clock.advance(1)
            Outer().plan("around")
            Planner().plan("after")
            assert bmad_clock.elapsed_s == 1
            assert bmad_telemetry.tree().splitlines() == [
                "invoke_agent Planner (plan): ok", "  execute_tool search: ok",
                "invoke_agent Outer (plan): ok",
                "invoke_agent Planner (plan): ok", "  execute_tool search: ok",
            ]
            assert [span.span_id[-1] for span in bmad_telemetry.spans] == ["2", "1", "3", "5", "4"]
            assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration").count == 3
            assert bmad_telemetry.value("bmad.agent.task.active", agent="Outer") == 0
        """
    ).assert_outcomes(passed=1)


def test_without_pytest(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = run_python(
        """
        import sys, unittest
        from bmad_otel import track_task
        from bmad_otel.testing import ManualClock, capture

        class Test(unittest.TestCase):
            def test_it(self):
                clock = ManualClock()
                with capture() as telemetry, clock.in_use():
                    track_task(agent="A", name="wait")(clock.advance)(3)
                self.assertEqual(telemetry.task("A").duration_s, 3)
                self.assertEqual(telemetry.histogram("gen_ai.invoke_agent.duration", task="wait").sum, 3)

        done = unittest.main(exit=False)
        assert done.result.wasSuccessful()
        assert "pytest" not in sys.modules
        """
    )
    assert result.returncode == 0, result.stderr


def test_an_unused_plugin_is_cheap(run: Run) -> None:
    """Every run of every program with bmad-otel installed loads it."""
    run(
        """
        import sys

        def test_it(request):
            assert request.config.pluginmanager.hasplugin("bmad_otel")
            heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "grpc", "psutil", "bmad_processor")
            assert [name for name in sys.modules if name.startswith(heavy)] == []
        """
    ).assert_outcomes(passed=1)


def test_the_sdk_does_not_import_it(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = run_python(
        """
        import sys
        from bmad_otel import configure, shutdown, track_task
        configure(endpoint="http://localhost:1", shutdown_timeout_s=0.1)
        track_task(agent="A")(lambda: None)()
        assert not [name for name in sys.modules if name.startswith("bmad_otel.testing")]
        """
    )
    assert result.returncode == 0, result.stderr


def test_the_example() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/testing_agents.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "3 passed" in result.stdout, result.stdout


def test_beside_our_own_fixture(telemetry: OurTelemetry, bmad_telemetry: Telemetry, bmad_clock: ManualClock) -> None:
    """The providers of this suite are set by its conftest; both look at the same task."""

    @track_task(agent="Both")
    def work() -> None:
        bmad_clock.advance(2)

    work()
    assert bmad_telemetry.task("Both").duration_s == 2
    assert telemetry.span().name == bmad_telemetry.task("Both").name
