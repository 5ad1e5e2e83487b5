"""The conformance suite: of our own collector every row is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROWS = """
import pytest
from tests.conformance.rows import NotApplicable

@pytest.fixture
def impossible():
    pytest.skip("not here")

def test_marked_x(): pass
test_marked_x = pytest.mark.skip(reason="not now")(test_marked_x)
def test_skipping(): pytest.skip("not now")
def test_without_fixture(impossible): pass
def test_not_applicable(): raise NotApplicable("no such option")
def test_asked(): pass
"""


@pytest.mark.parametrize(
    ("options", "outcome"),
    [([], {"failed": 2, "errors": 2}), (["--target=rotel"], {"skipped": 4}),
     (["--target-grpc=h:1", "--target-http=h:2"], {"skipped": 4})],
)  # fmt: skip
def test_of_our_own_collector_no_row_is_skipped(options: list[str], outcome: dict[str, int], tmp_path: Path) -> None:
    rows = tmp_path / "test_rows.py"
    rows.write_text(ROWS)
    options = [*options, f"--config-file={tmp_path / 'pytest.ini'}", str(rows)]
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conformance.conftest", *options],
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    counts = done.stdout.splitlines()[-1]
    for kind, n in {**outcome, "passed": 1}.items():
        assert f"{n} {kind}" in counts, done.stdout
    assert done.returncode == (1 if "failed" in outcome else 0)
