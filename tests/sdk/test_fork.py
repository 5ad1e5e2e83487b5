"""A forked child reports for itself: nothing of the parent's is counted again, and its telemetry arrives."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from opentelemetry.sdk import resources

from .receivers import HttpReceiver

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

PROGRAM = """
import os, sys, threading, time
from bmad_otel import configure, shutdown, track_task
from bmad_otel._state import state

configure(endpoint={endpoint!r}, protocol="http/protobuf", metric_export_interval_s=60)
go = threading.Event()

@track_task(agent="Parent")
def waits(): go.wait()

@track_task(agent="Child")
def works():
    end = time.thread_time() + 0.01
    while time.thread_time() < end: pass

threads = [threading.Thread(target=waits) for _ in range(20)]
for thread in threads: thread.start()
while len(state.running.tasks) < 20: time.sleep(0.001)
works()
child = os.fork()
if child == 0:
    assert state.running.tasks == {{}}
    assert state.cpu.by_agent_ns() == {{}}
    works()
    shutdown(10)
    os._exit(0)
_, status = os.waitpid(child, 0)
go.set()
for thread in threads: thread.join()
shutdown(10)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_reports_for_itself(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    with HttpReceiver() as received:
        result = run_python(PROGRAM.format(endpoint=received.endpoint), PYTHONWARNINGS="ignore")
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(span.name for span in received.spans()).count("invoke_agent Child") == 2
    of_child, of_parent = received.requests["metrics"]
    instances = [
        {pair.value.string_value for pair in request.resource_metrics[0].resource.attributes
         if pair.key == "service.instance.id"}
        for request in (of_child, of_parent)
    ]  # fmt: skip
    if hasattr(resources, "ServiceInstanceIdResourceDetector"):  # releases before it keep the parent's id
        assert instances[0] != instances[1]

    def value(request: object, name: str, agent: str | None = None) -> float:
        (metric,) = [
            m for scope in request.resource_metrics[0].scope_metrics for m in scope.metrics if m.name == name  # type: ignore[attr-defined]
        ]  # fmt: skip
        points = metric.sum.data_points or metric.gauge.data_points
        (point,) = [p for p in points if agent is None or p.attributes[0].value.string_value == agent]
        return float(point.as_int or point.as_double)

    assert value(of_child, "bmad.agent.task.active", "Parent") == 0
    assert 0.01 <= value(of_child, "bmad.agent.cpu.time", "Child") < 0.02
    assert value(of_child, "process.thread.count") < 20 <= value(of_parent, "process.thread.count") + 20
    assert value(of_child, "process.uptime") <= value(of_parent, "process.uptime")


def test_a_task_that_forks_is_the_parents(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = """
        import os, sys
        from bmad_otel import configure, shutdown, track_task

        configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False)

        @track_task(agent="Forks")
        def forks(): return os.fork()

        child = forks()
        if child == 0:
            shutdown(10)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        shutdown(10)
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    with HttpReceiver() as received:
        result = run_python(program.format(endpoint=received.endpoint), PYTHONWARNINGS="ignore")
    assert (result.returncode, result.stderr) == (0, "")
    assert [span.name for span in received.spans()] == ["invoke_agent Forks"]
