"""What a process may use and what its container uses, on recorded trees of control groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .machine import Observed, unpack

MIB = 2**20


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "1")


def allowed(host: Observed) -> tuple[float, float | None]:
    """CPUs and bytes it may use, by its utilization: it uses 1 CPU second a second and holds 400 bytes."""
    host.probe.process_cpu.user += 10
    values = host.values(after_s=10)
    memory = values.get("process.memory.utilization")
    return (
        pytest.approx(1 / values["process.cpu.utilization"]["user"]),
        None if memory is None else round(400 / memory[""]),
    )


def container(host: Observed) -> dict[str, Any]:
    return {name: points for name, points in host.values().items() if name.startswith("container.")}


@pytest.mark.parametrize(
    ("machine", "cpus", "memory"),
    [
        ("v2-docker", 0.5, 256 * MIB),
        ("v2-nested", 3.0, 1024 * MIB),
        ("v2-host", 4.0, 8_000_000 * 1024),
        ("v2-unlimited-container", 4.0, 8_000_000 * 1024),
        ("v1-docker", 0.25, 200 * MIB),
        ("v1-nested", 1.0, 512 * MIB),
        ("hybrid-host", 2.0, 24_684_096 * 1024),
    ],
)
def test_utilization_is_a_share_of_what_the_process_may_use(
    machine: str, cpus: float, memory: int, tmp_path: Path
) -> None:
    assert allowed(Observed(unpack(machine, tmp_path))) == (cpus, memory)


@pytest.mark.parametrize(
    ("machine", "cpu", "used", "available"),
    [
        ("v2-docker", {"user": 1.0, "system": 0.5001}, 100 * MIB, 196 * MIB),
        # the service, as the nearest with a limit; what its slice has left is less than what it has itself
        ("v2-nested", {"user": 2.0, "system": 1.0}, 500 * MIB, 224 * MIB),
        ("v2-unlimited-container", {"": 2.5}, 100 * MIB, None),
        ("v1-docker", {"user": 5.0, "system": 2.25}, 100 * MIB, 210 * MIB),
        ("v1-nested", {"user": 3.93, "system": 0.36}, 37_539_840, 2**29 - (37_552_128 - 270_336)),
    ],
)
def test_metrics_of_the_container(
    machine: str, cpu: dict[str, float], used: int, available: int | None, tmp_path: Path
) -> None:
    found = container(Observed(unpack(machine, tmp_path)))
    assert found["container.cpu.time"] == pytest.approx(cpu)
    assert found["container.memory.usage"] == {"": used}
    assert found.get("container.memory.available") == (None if available is None else {"": available})


@pytest.mark.parametrize("machine", ["hybrid-host", "v2-host"])
def test_a_process_on_the_host_is_in_no_container(machine: str, tmp_path: Path) -> None:
    assert container(Observed(unpack(machine, tmp_path))) == {}


def test_the_cpu_set_limits_too(tmp_path: Path) -> None:
    unpack("v1-docker", tmp_path)
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us").write_text("-1\n")
    host = Observed(tmp_path, own_cpus=lambda: 64)
    assert allowed(host)[0] == 5  # 0-1,4,6-7


def test_modes_that_are_not_told_are_not_made_up(tmp_path: Path) -> None:
    unpack("v1-docker", tmp_path)
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpuacct.stat").unlink()
    assert container(Observed(tmp_path))["container.cpu.time"] == {"": pytest.approx(7.25)}


def test_a_limit_that_changes_is_followed_within_a_minute(tmp_path: Path) -> None:
    host = Observed(unpack("v2-docker", tmp_path))
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    assert allowed(host)[1] == 256 * MIB
    limit.write_text(f"{128 * MIB}\n")
    host.values(after_s=60)
    assert allowed(host)[1] == 128 * MIB
    limit.write_text("max\n")
    host.values(after_s=60)
    assert allowed(host)[1] == 8_000_000 * 1024


def test_a_process_moved_to_another_group_is_followed(tmp_path: Path) -> None:
    host = Observed(unpack("v2-nested", tmp_path))
    assert allowed(host)[0] == 3
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    host.values(after_s=60)
    assert allowed(host)[0] == 4
    assert container(host) == {}


@pytest.mark.parametrize(
    "paths",
    [
        "0::/../other",  # moved out of the part of the tree that its namespace shows
        "0::/system.slice/gone.service (deleted)",
        "0::/system.slice/../../etc",
        "0::/nowhere",
    ],
)
def test_a_group_that_cannot_be_seen_limits_by_what_can(paths: str, tmp_path: Path) -> None:
    unpack("v2-docker", tmp_path)
    (tmp_path / "proc/self/cgroup").write_text(paths + "\n")
    (tmp_path / "sys/fs/other").mkdir()
    (tmp_path / "sys/fs/other/memory.max").write_text("1000\n")
    assert allowed(Observed(tmp_path)) == (0.5, 256 * MIB)


def test_the_tree_of_an_outer_namespace_says_nothing_of_us(tmp_path: Path) -> None:
    unpack("v2-nested", tmp_path)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    table = tmp_path / "proc/self/mountinfo"
    table.write_text(table.read_text().replace("0:26 / /sys", "0:26 /../.. /sys"))
    host = Observed(tmp_path)
    assert allowed(host) == (4, 8_000_000 * 1024)
    assert container(host) == {}


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    unpack("v2-docker", tmp_path)
    (tmp_path / "sys/fs/cgroup").rename(tmp_path / "sys/fs/control groups")
    table = tmp_path / "proc/self/mountinfo"
    table.write_text(table.read_text().replace("/sys/fs/cgroup", r"/sys/fs/control\040groups"))
    assert allowed(Observed(tmp_path)) == (0.5, 256 * MIB)


@pytest.mark.parametrize("text", ["", "what", "-5", "0", "1 2 3", "9" * 30, "\udcff"])
@pytest.mark.parametrize("machine", ["v1-docker", "v2-docker", "v2-nested", "v1-nested"])
def test_files_of_another_form_are_no_limits_and_no_errors(machine: str, text: str, tmp_path: Path) -> None:
    for file in (unpack(machine, tmp_path) / "sys/fs/cgroup").rglob("*"):
        if file.is_file():
            file.write_text(text, errors="surrogateescape")
    cpus, memory = allowed(Observed(tmp_path))
    assert cpus == (1 if text.isdigit() else 4)  # a number alone is a CPU set of one
    assert memory in (8_000_000 * 1024, 24_684_096 * 1024)


@pytest.mark.parametrize("machine", ["v1-docker", "v2-docker", "v2-nested", "v1-nested"])
def test_files_that_cannot_be_read_are_no_limits_and_no_errors(machine: str, tmp_path: Path) -> None:
    """A directory in the place of a file cannot be read by anybody, root included."""
    for file in list((unpack(machine, tmp_path) / "sys/fs/cgroup").rglob("*")):
        if file.is_file():
            file.unlink()
            file.mkdir()
    host = Observed(tmp_path)
    assert allowed(host)[0] == 4
    assert container(host) == {}


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo"])
def test_without_the_tables_there_are_no_limits(missing: str, tmp_path: Path) -> None:
    (unpack("v2-docker", tmp_path) / missing).unlink()
    host = Observed(tmp_path)
    assert allowed(host) == (4, 8_000_000 * 1024)
    assert container(host) == {}


def test_a_machine_that_does_not_say_its_memory_has_no_share_of_it(tmp_path: Path) -> None:
    host = Observed(tmp_path)
    host.probe.virtual_memory = lambda: (_ for _ in ()).throw(OSError("no"))
    host.values(after_s=60)
    assert allowed(host) == (4, None)
