"""The commands about profiles, as the installed program, at a collector and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.run.collectors import FAST, Api, embedded, write_config

PROGRAM = Path(sys.executable).with_name("bmad-otel")
NOWHERE = "127.0.0.1:1"

OWNER = """\
# Watched closely.
agent: ProductOwner  # the one
thresholds:
  cpu_usage: {warning: 60%, critical: 80%}
  response_time: {warning: 3000ms, critical: 8s}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "collector-config" / "profiles"
    folder.mkdir(parents=True)
    (folder / "owner.yaml").write_text(OWNER)
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Runs ``bmad-otel`` where a checkout's profiles lie below the current directory."""

    def call(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("BMAD_OTEL_")}
        return subprocess.run(
            [str(PROGRAM), *args], env=clean | environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    return call


@pytest.fixture
def endpoint(folder: Path, tmp_path: Path) -> Iterator[str]:
    """API of a collector that reads `folder`."""
    with embedded(write_config(tmp_path, performance={**FAST, "profiles": [str(folder)]})) as collector:
        yield collector.endpoints["api"]


def test_at_a_running_collector(run: Run, endpoint: str, folder: Path) -> None:
    made = run("create-profile", "MissingAgent", "--endpoint", endpoint)
    assert (made.returncode, made.stderr) == (0, "")
    file = folder / "missing-agent.yaml"
    assert made.stdout.startswith(f"Profile of MissingAgent written to {file}.\n")
    assert file.read_text() == (
        "agent: MissingAgent\n\n"
        "thresholds:\n"
        "  cpu_usage: {warning: 70%, critical: 85%}\n"
        "  response_time: {warning: 5s, critical: 10s}\n"
        "  error_rate: {warning: 5%, critical: 10%}\n\n"
        "scaling:\n  cpu_threshold: 75%\n  memory_threshold: 80%\n  min_instances: 1\n  max_instances: 3\n"
        "monitoring_enabled: true\nauto_scaling_enabled: true\n"
    )
    changed = run(
        "update-thresholds", "product-owner", "response_time", "--warning", "2.5", "--emergency", "1m", "--json",
        "--endpoint", endpoint,
    )  # fmt: skip
    assert json.loads(changed.stdout)["thresholds"]["response_time"] == {"warning": 2.5, "critical": 8, "emergency": 60}
    assert (folder / "owner.yaml").read_text() == OWNER.replace("3000ms", "2500ms").replace("8s", "8s, emergency: 1m")
    # the collector judges by both
    api = Api(endpoint)
    assert api.get("/api/v1/profiles/ProductOwner")["thresholds"]["response_time"]["warning"] == 2.5
    shown = json.loads(run("show-profile", "ProductOwnerAgent", "--json", "--endpoint", endpoint).stdout)
    assert shown == api.get("/api/v1/profiles/ProductOwner")
    listed = run("list-profiles", "--endpoint", endpoint).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["Agent", "*", "MissingAgent", "ProductOwner"]
    for_now = run(
        "update-thresholds", "ProductOwner", "cpu_usage", "--info", "5", "--temporary", "--endpoint", endpoint
    )
    assert "kept until the collector ends" in for_now.stdout
    assert "info" not in (folder / "owner.yaml").read_text()


def test_in_the_files_when_no_collector_runs(run: Run, folder: Path, tmp_path: Path) -> None:
    note = f"no collector answers at {NOWHERE}; using the files in collector-config/profiles\n"
    changed = run("update-thresholds", "ProductOwner", "cpu_usage", "--critical", "75%", BMAD_OTEL_ENDPOINT=NOWHERE)
    assert (changed.returncode, changed.stderr) == (0, note)
    assert changed.stdout.startswith("Profile of ProductOwner written to collector-config/profiles/owner.yaml.\n")
    assert (folder / "owner.yaml").read_text() == OWNER.replace("80%", "75%")
    # a directory that was named is used at once
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = run("create-profile", "*", "--cpu-warning", "96", "--cpu-critical", "98", "--profiles", str(elsewhere))
    assert made.returncode == 0
    assert made.stderr == (
        "emergency of cpu_usage no longer counts: critical 98.0% is above emergency 95.0% of the built-in thresholds\n"
    )
    assert (elsewhere / "default.yaml").read_text().startswith('agent: "*"\n')
    shown = run("show-profile", "Nobody", BMAD_OTEL_ENDPOINT=NOWHERE, BMAD_OTEL_PROFILES=str(elsewhere))
    assert (shown.returncode, shown.stderr.count(str(elsewhere))) == (2, 1)
    shown = run("show-profile", "RnD", BMAD_OTEL_ENDPOINT=NOWHERE, BMAD_OTEL_PROFILES=str(elsewhere))
    assert shown.stdout.startswith("RnD, which has no profile of its own\n")
    assert "cpu_usage      warning            96.0%  default" in shown.stdout


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["update-thresholds", "ProductOwnr", "cpu_usage", "--warning", "1"], 2, "did you mean ProductOwner?"),
        (["update-thresholds", "ProductOwner", "cpu_usage"], 2, "nothing to change"),
        (["update-thresholds", "ProductOwner", "cpu_usage", "--warning", "90"], 2,
         "thresholds::cpu_usage::warning: warning 90.0% is above critical 80.0%"),
        (["update-thresholds", "ProductOwner", "response_time", "--warning", "-1"], 2, "'-1s' is not understood"),
        (["create-profile", "product_owner"], 2, "has a profile already; --replace"),
        (["create-profile", "New", "--cpu-warning", "90", "--cpu-critical", "80"], 2,
         "thresholds::cpu_usage::critical: critical 80.0% is below warning 90.0%"),
        (["create-profile", "New", "--temporary"], 3, "only a running collector"),
    ],
)  # fmt: skip
def test_what_is_wrong(run: Run, folder: Path, args: list[str], code: int, said: str) -> None:
    result = run(*args, "--profiles", str(folder))
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert [path.name for path in folder.iterdir()] == ["owner.yaml"]
    assert (folder / "owner.yaml").read_text() == OWNER


def test_what_is_wrong_is_told_by_a_collector_too(run: Run, endpoint: str, folder: Path) -> None:
    result = run("update-thresholds", "ProductOwner", "cpu_usage", "--warning", "90", "--endpoint", endpoint)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "profile ProductOwner: thresholds::cpu_usage::warning: warning 90.0% is above critical 80.0% of the agent's "
        "profile (expected warning on the other side of it, or critical changed as well)\n"
    )
    result = run("update-thresholds", "Nobody", "cpu_usage", "--warning", "90", "--endpoint", endpoint)
    assert (result.returncode, result.stderr) == (2, "Unknown agent: Nobody\n")


def test_with_nowhere_to_go(run: Run, tmp_path: Path, folder: Path) -> None:
    folder.rename(tmp_path / "away")
    result = run("list-profiles", BMAD_OTEL_ENDPOINT=NOWHERE)
    assert (result.returncode, result.stdout) == (3, "")
    assert "name one with --profiles" in result.stderr
