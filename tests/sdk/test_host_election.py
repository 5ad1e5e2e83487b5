"""Of many processes one reports the machine, and one the container: real processes, real locks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_otel._host import Sources
from bmad_otel._host.system import machine, meeting_place

from .machine import Observed, Probe, unpack

WORKER = """
import json, os, subprocess, sys
from pathlib import Path
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from bmad_otel._host import Sources, observe_host

now_s = 0.0
reader = InMemoryMetricReader()
provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
sources = Sources(root=Path(sys.argv[1]), clock_s=lambda: now_s)
host = observe_host(provider.get_meter("bmad_otel"), "auto", sources)

for line in sys.stdin:
    match line.strip():
        case "collect":
            now_s += 5
            data = reader.get_metrics_data()
            metrics = data.resource_metrics[0].scope_metrics[0].metrics
            answer = sorted({metric.name.partition(".")[0] for metric in metrics})
        case "close":
            host.close()
            answer = None
        case "fork":
            answer = os.fork()
            if answer == 0:  # the child goes on with what its parent would have been told, through its own pipe
                commands, answers = (os.open(path, flags) for path, flags in zip(
                    os.environ["CHILD"].split(), (os.O_RDONLY, os.O_WRONLY)))
                os.dup2(commands, 0)
                os.dup2(answers, 1)
                sys.stdin = os.fdopen(0)
                for line in sys.stdin:
                    now_s += 5
                    data = reader.get_metrics_data()
                    metrics = data.resource_metrics[0].scope_metrics[0].metrics
                    names = sorted({metric.name.partition(".")[0] for metric in metrics})
                    os.write(1, (json.dumps(names) + chr(10)).encode())
                os._exit(0)
        case "spawn":
            answer = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False).pid
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """A process that reports when it is told to."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "BMAD_OTEL_RAISE_INTERNAL": "1", **environment},
        )  # fmt: skip

    def tell(self, command: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """At once, with its pipes left open."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a worker on a machine that is a container with limits; all of a test share a temporary directory."""
    root = unpack("v2-docker", tmp_path / "machine")
    (tmp_path / "tmp").mkdir()
    workers = []

    def started(**environment: str) -> Worker:
        workers.append(Worker(root, TMPDIR=str(tmp_path / "tmp"), **environment))
        return workers[-1]

    yield started
    for worker in workers:
        worker.close()


def reporters(workers: list[Worker], what: str) -> list[Worker]:
    """Those that report ``what`` now; every one of them always reports itself."""
    found = []
    for worker in workers:
        told = worker.tell("collect")
        assert {"process", "cpython"} <= set(told)
        if what in told:
            found.append(worker)
    return found


@pytest.mark.parametrize("what", ["system", "container"])
def test_one_reports_and_when_it_is_killed_another_does(start: Start, what: str) -> None:
    workers = [start() for _ in range(3)]
    (leader,) = reporters(workers, what)
    assert reporters(workers, what) == [leader]
    while len(workers) > 1:
        leader.kill()
        workers.remove(leader)
        (leader,) = reporters(workers, what)


@pytest.mark.parametrize("what", ["system", "container"])
def test_one_that_is_shut_down_lets_another_report(start: Start, what: str) -> None:
    workers = [start() for _ in range(2)]
    (leader,) = reporters(workers, what)
    leader.tell("close")
    (other,) = reporters(workers, what)
    assert other is not leader


def test_a_program_that_the_leader_started_does_not_hold_its_lock(start: Start) -> None:
    workers = [start() for _ in range(2)]
    (leader,) = reporters(workers, "system")
    leader.tell("spawn")  # it lives until the pipe that is its standard input is closed, which outlives the leader
    leader.kill()
    workers.remove(leader)
    assert reporters(workers, "system") == workers


@pytest.mark.parametrize("what", ["system", "container"])
def test_a_forked_child_does_not_hold_the_lock_of_its_parent(start: Start, what: str, tmp_path: Path) -> None:
    commands, answers = tmp_path / "commands", tmp_path / "answers"
    os.mkfifo(commands)
    os.mkfifo(answers)
    parent = start(CHILD=f"{commands} {answers}")
    assert reporters([parent], what) == [parent]
    other = start()
    assert reporters([parent, other], what) == [parent]
    parent.tell("fork")
    with commands.open("w", buffering=1) as to_child, answers.open() as of_child:

        def child_reports() -> bool:
            to_child.write("collect\n")
            told = of_child.readline()
            assert "process" in told
            return what in told

        assert not child_reports()
        assert reporters([parent, other], what) == [parent]
        parent.kill()
        assert reporters([other], what) == [other]  # although the child still has what it inherited
        assert not child_reports()
        other.kill()
        assert child_reports()


def lock_of(directory: Path) -> Path:
    (lock,) = directory.glob("bmad-otel-*.lock")
    return lock


def test_a_lock_file_that_is_tidied_away_is_made_anew(start: Start, tmp_path: Path) -> None:
    workers = [start() for _ in range(2)]
    (leader,) = reporters(workers, "system")
    lock_of(tmp_path / "tmp").unlink()
    workers.append(start())
    reporters(workers, "system")  # they meet at the new file
    (leader,) = reporters(workers, "system")
    leader.kill()
    workers.remove(leader)
    assert len(reporters(workers, "system")) == 1


# What one process does at its lock, without others -------------------------------------------------------------------


def system(host: Observed) -> set[str]:
    return {name for name in host.metrics() if name.startswith("system.")}


def observed(directory: Path, where: Callable[[], Path] | None = None) -> Observed:
    return Observed(directory / "nowhere", mode="auto", lock_directory=where or (lambda: directory))


def test_two_in_one_process_report_once(tmp_path: Path) -> None:
    first, second = observed(tmp_path), observed(tmp_path)
    assert system(first)
    assert not system(second)
    first.host.close()
    assert not system(first)
    assert system(second)
    second.host.close()


def test_whoever_takes_over_shows_no_mean_of_the_time_before(tmp_path: Path) -> None:
    first, second = observed(tmp_path), observed(tmp_path)
    assert "system.cpu.time" in system(first)
    lock_of(tmp_path).unlink()
    assert system(second)
    assert not system(first)
    second.host.close()
    first.probe.cpu.user += 1_000  # while the second reported
    taken_over = system(first)
    assert "system.cpu.time" in taken_over
    assert "system.cpu.utilization" not in taken_over
    first.probe.cpu.idle += 40
    assert first.values()["system.cpu.utilization"]["idle"] == 1.0
    first.host.close()


def lock(directory: Path) -> Path:
    return directory / meeting_place(machine(Sources(root=directory / "nowhere")))


def refused() -> Path:
    raise FileNotFoundError("no temporary directory")


def a_link(path: Path) -> None:
    path.with_name("victim").write_text("precious")
    path.symlink_to(path.with_name("victim"))


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        previous = Path.cwd()
        os.chdir(path.parent)  # a socket's path may have 107 bytes
        server.bind(path.name)
        os.chdir(previous)


@pytest.mark.parametrize("put", [a_link, a_pipe, a_socket, Path.mkdir])
def test_with_something_else_in_the_place_of_the_lock_everybody_reports(
    put: Callable[[Path], None], tmp_path: Path
) -> None:
    put(lock(tmp_path))
    first, second = observed(tmp_path), observed(tmp_path)
    assert system(first) == system(second) != set()
    victim = tmp_path / "victim"
    assert not victim.exists() or victim.read_text() == "precious"


def test_without_a_temporary_directory_everybody_reports(tmp_path: Path) -> None:
    for directory in (refused, lambda: tmp_path / "gone"):
        hosts = [observed(tmp_path, directory) for _ in range(2)]
        assert all(system(host) for host in hosts)


def test_the_lock_is_for_the_user_alone(tmp_path: Path) -> None:
    host = observed(tmp_path)
    assert lock_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert lock_of(tmp_path).name.startswith(f"bmad-otel-{os.geteuid()}-")
    host.host.close()


def test_machines_that_share_a_temporary_directory_report_each_for_itself(tmp_path: Path) -> None:
    hosts = []
    for boot in ("one", "two", "../../etc/passwd"):
        (tmp_path / boot[-4:] / "proc/sys/kernel/random").mkdir(parents=True)
        (tmp_path / boot[-4:] / "proc/sys/kernel/random/boot_id").write_text(boot + "\n")
        hosts.append(Observed(tmp_path / boot[-4:], Probe(), mode="auto", lock_directory=lambda: tmp_path))
    assert all(system(host) for host in hosts)
    assert len(list(tmp_path.glob("*.lock"))) == 3
    for host in hosts:
        host.host.close()
