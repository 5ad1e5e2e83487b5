"""A program ends on time even when nobody takes its telemetry."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PROGRAM = """
import time
from bmad_otel import configure, track_task

configure(endpoint="http://127.0.0.1:{port}", protocol="{protocol}")

@track_task(agent="A")
def work(): pass

work()
print(time.time(), flush=True)
"""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


@pytest.fixture
def dead_port() -> int:
    """Refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


# 5 s leaves a busy machine more than twice the promised 2 s; the plain SDK was measured at 11 to 15 s here.
BOUND_S = 5.0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("backend", ["dead_port", "silent_port"])
def test_the_end_of_a_program_is_bounded(request: pytest.FixtureRequest, backend: str, protocol: str) -> None:
    port = request.getfixturevalue(backend)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(port=port, protocol=protocol)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    took_s = time.time() - float(result.stdout)
    assert result.returncode == 0
    assert took_s < BOUND_S
    (last,) = [line for line in result.stderr.splitlines() if "dropped in this run" in line]
    assert "with 2.0 s to end: spans: 1 " in last
    assert "metric points: " in last
    # besides that at most one line for each way in which the receiver failed
    assert len(result.stderr.splitlines()) <= 4


def test_shutdown_takes_a_shorter_time_when_asked(silent_port: int) -> None:
    program = PROGRAM.format(port=silent_port, protocol="grpc") + (
        "from bmad_otel import force_flush, shutdown\n"
        "assert force_flush(0.1) is False\n"
        "shutdown(timeout_s=0.1)\n"
        "assert work() is None\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr.count("with 0.1 s to end: spans: 1 ") == 1
    assert time.time() - float(result.stdout) < BOUND_S
