"""The conformance suite asks other receivers too: those its set-up got, and whatever listens at an address."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.backend import running
from tests.conformance.targets import OursTarget, RotelTarget, StockTarget, Wish

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PEERS = [target.name for target in (RotelTarget(), StockTarget()) if target.is_installed]


def suite(*options: str) -> subprocess.CompletedProcess[str]:
    """A few rows that everybody holds."""
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_there_are_peers() -> None:
    assert "rotel" in PEERS, "tests/conformance/setup.sh gets it"


@pytest.mark.parametrize("target", PEERS)
def test_a_peer_is_started_and_asked(target: str) -> None:
    done = suite("--target", target, "-k", "test_c1_ or test_g1_export or test_g11_ or test_g12_")
    assert done.returncode == 0, done.stdout[-3000:]


def test_an_address_is_asked(tmp_path: Path) -> None:
    with running() as backend:
        server = OursTarget().start(tmp_path, backend, Wish())
        assert server.child is not None
        try:
            done = suite("--target-grpc", server.grpc, "--target-http", server.http, "-k", "test_c1_ or test_g12_")
        finally:
            server.child.end()
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 skipped" in done.stdout, "nobody may stop what somebody else started"
