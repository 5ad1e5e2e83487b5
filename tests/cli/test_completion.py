"""What a shell is told when a person presses Tab, asked as the shells' scripts ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def _complete(program: str, shell: str, words: str, **env: str) -> str:
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    asked = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - (not words.endswith(" ")))},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [str(BIN / program)], env=os.environ | asked | env | {variable: f"complete_{shell}"}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_agents_have_their_names_completed(shell: str) -> None:
    found = _complete("bmad-otel", shell, "bmad-otel agent-summary Prod")
    assert "ProductOwner" in found
    assert "Architect" not in found


def test_every_program_lists_its_own_commands() -> None:
    assert _complete("bmad-otel", "bash", "bmad-otel start").split() == ["start-monitoring"]
    assert _complete("integrated-workflow", "bash", "integrated-workflow system").split() == ["system-performance"]
    assert _complete("performance-monitor", "bash", "performance-monitor sim").split() == ["simulate-task"]


@pytest.mark.parametrize(
    ("shell", "part"),
    [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --command")],
)
def test_the_script_for_each_shell(shell: str, part: str, tmp_path: Path) -> None:
    script = subprocess.run(
        [str(BIN / "bmad-otel")], env=os.environ | {"_BMAD_OTEL_COMPLETE": f"source_{shell}"}, capture_output=True,
        text=True, timeout=60,
    ).stdout  # fmt: skip
    assert part in script
    assert "_BMAD_OTEL_COMPLETE=complete_" in script


def test_it_installs_itself(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [str(BIN / "bmad-otel"), "--install-completion", "bash"], env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (script,) = (tmp_path / ".bash_completions").iterdir()
    line = "source .bashrc; COMP_WORDS=(bmad-otel agent-summary Arch); COMP_CWORD=2; _bmad_otel_completion bmad-otel"
    shown = subprocess.run(
        ["bash", "-c", f"{line}; echo ${{COMPREPLY[@]}}"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=environment | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert "Architect" in shown.stdout, (script.read_text(), shown)
