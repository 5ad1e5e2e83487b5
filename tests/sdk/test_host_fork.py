"""After a fork every process reports itself: its own numbers, from its own start."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

PROGRAM = """
import gc, json, os, sys, threading, time
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from bmad_otel._host import Sources, observe_host

now_s = 0.0
reader = InMemoryMetricReader()
provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
host = observe_host(provider.get_meter("bmad_otel"), "auto", Sources(clock_s=lambda: now_s))

def values():
    data = reader.get_metrics_data()
    return {
        metric.name: {str(next(iter(p.attributes.values()), "")): p.value for p in metric.data.data_points}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass

go = threading.Event()
threads = [threading.Thread(target=go.wait) for _ in range(6)]
for thread in threads: thread.start()
for _ in range(50): gc.collect()
files = [open(os.devnull) for _ in range(20)]
burn(0.5)
told, tell = os.pipe()
now_s += 1
before = values()
child = os.fork()  # the clock that tells one collection from the next does not move before the child reports
if child == 0:
    for file in files: file.close()
    gc.collect()
    os.write(tell, json.dumps({"pid": os.getpid(), "values": values()}).encode())
    os._exit(0)
os.waitpid(child, 0)
of_child = json.loads(os.read(told, 1 << 16))
now_s += 1
print(json.dumps({"parent": [before, values()], "child": of_child}))
go.set()
for thread in threads: thread.join()
"""


def test_the_child_reports_itself_right_after_the_fork(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    result = run_python(PROGRAM, TMPDIR=str(tmp_path), PYTHONWARNINGS="ignore")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    (before, parent), child = told["parent"], told["child"]["values"]

    assert before["process.thread.count"] == {"": 7}
    assert child["process.thread.count"] == {"": 1}
    assert before["process.cpu.time"]["user"] + before["process.cpu.time"]["system"] >= 0.5
    assert child["process.cpu.time"]["user"] + child["process.cpu.time"]["system"] < 0.4
    assert child["process.uptime"][""] < before["process.uptime"][""]
    descriptors = "process.unix.file_descriptor.count"
    assert child[descriptors][""] <= before[descriptors][""] - 20
    assert child["process.paging.faults"]["minor"] < before["process.paging.faults"]["minor"]
    # no rate between the parent's time and the child's
    assert "process.cpu.utilization" not in child

    assert before["cpython.gc.collections"]["2"] >= 50
    assert child["cpython.gc.collections"]["2"] == 1

    # the parent goes on reporting the host, the child does not begin to
    assert any(name.startswith("system.") for name in before)
    assert any(name.startswith("system.") for name in parent)
    assert not any(name.startswith("system.") for name in child)
    assert parent["process.thread.count"] == {"": 7}
    assert parent["cpython.gc.collections"]["2"] >= before["cpython.gc.collections"]["2"]
