"""What an import does: nothing but define names, and what it needs is what is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IMPORT = """
import logging, sys, threading

class NoJaeger:
    def find_spec(self, name, path=None, target=None):
        if "jaeger" in name:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NoJaeger())
handlers, threads = list(logging.root.handlers), threading.enumerate()
import bmad_otel, bmad_otel.monitor
import MODULE
assert logging.root.handlers == handlers
assert threading.enumerate() == threads
print(*sorted(bmad_otel.get_performance_monitor().agent_profiles))
"""


def imported(module: str, directory: Path) -> list[str]:
    """Profiles that are there after an import in an empty ``directory``, which stays empty."""
    program = IMPORT.replace("MODULE", module)
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=directory, capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert list(directory.iterdir()) == []
    return found.stdout.split()


def test_the_monitor_registers_nothing_and_leaves_no_files(tmp_path: Path) -> None:
    assert imported("bmad_otel.monitor", tmp_path) == []


def test_the_drop_in_registers_the_three_profiles_it_stands_for(tmp_path: Path) -> None:
    assert imported("bmad_otel.compat.bmad", tmp_path) == ["Architect", "ProductOwner", "TestEngineer"]
