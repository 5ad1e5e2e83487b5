"""The log of a service does not grow beyond two files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import os, sys
from pathlib import Path
from bmad_processor.service.bounded_log import BoundedLog
path = Path(sys.argv[1])
log = BoundedLog(path, max_bytes=1000)
sys.stdout = sys.stderr = log
for n in range(200):
    print(f"line {n:03}")
    if n % 50 == 0:
        os.write(1, b"past Python\\n")
raise SystemExit("last words \\ud800")
"""


def test_two_files_of_a_known_size(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    done = subprocess.run([sys.executable, "-c", _PROGRAM, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    now, before = path.read_text(), path.with_name("service.log.1").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["service.log", "service.log.1"]
    assert len(now) <= 1010
    assert len(before) <= 1020
    assert now.endswith("line 199\nlast words \\ud800\n")
    lines = (before + now).splitlines()
    numbers = [int(line[5:]) for line in lines if line.startswith("line ")]
    assert numbers == list(range(numbers[0], 200))
    assert "past Python" in lines
