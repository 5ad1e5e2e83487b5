"""`python -m bmad_otel.compat.run`, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.conftest import CLIENTS
from tests.sdk.receivers import GrpcReceiver

MODULE = "bmad.agents.Agent.ProductOwner.product_owner"


def run(tmp_path: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BMAD_"))}
    root = str(Path(__file__).parents[2])
    environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "PYTHONPATH": os.pathsep.join([str(CLIENTS), root, f"{root}/processors"]),
        "TMPDIR": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-m", "bmad_otel.compat.run", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "code"), [(("--service-name", "stories", "-m", MODULE), 3), ((str(CLIENTS / "story.py"),), 0)]
)
def test_a_program_is_traced_as_it_is(tmp_path: Path, program: tuple[str, ...], code: int) -> None:
    with GrpcReceiver() as receiver:
        done = run(tmp_path, receiver.endpoint, *program, "as a user")
    assert done.returncode == code, done.stderr
    assert done.stdout == "{'story': 'as a user'}\n"
    assert [span.name for span in receiver.spans()] == ["invoke_agent ProductOwner"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for program in (("-m", "bmad.agents.Agent.Nobody"), ("nothing.py",)):
        done = run(tmp_path, "http://localhost:9", *program)
        assert done.returncode == 2
        assert f"there is no {'module' if program[0] == '-m' else 'file'} {program[-1]}" in done.stderr
