"""Under gevent, where greenlets take turns on one thread, spans keep their parents and telemetry arrives.

The program runs in an environment of its own, which tests/integration/setup.sh makes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.sdk.receivers import HttpReceiver

pytestmark = pytest.mark.integration

VENDORS = Path(__file__).with_name("vendors")


def test_greenlets_keep_their_own_tasks() -> None:
    with HttpReceiver() as received:
        done = subprocess.run(
            [VENDORS / ".venv" / "gevent" / "bin" / "python", "-m", "gevent.monkey", "greenlets.py", received.endpoint],
            cwd=VENDORS, env={"PATH": os.defpath, "BMAD_OTEL_RAISE_INTERNAL": "1"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["kept"]
    assert said["outside"]
    assert said["shutdown_s"] < 5
    spans = {span.span_id: span for span in received.spans()}
    edges = Counter(
        (span.name.removeprefix("invoke_agent "),
         spans[span.parent_span_id].name.removeprefix("invoke_agent ") if span.parent_span_id else None)
        for span in spans.values()
    )  # fmt: skip
    assert edges == {
        ("Outer", None): 28, ("Inner", "Outer"): 56, ("Items", None): 5, ("Late", None): 1, ("Killed", None): 1,
    }  # fmt: skip
    outcomes = {
        span.name: {pair.key: pair.value.string_value for pair in span.attributes}["bmad.task.outcome"]
        for span in spans.values()
    }
    assert outcomes["invoke_agent Late"] == "timeout"
    assert outcomes["invoke_agent Killed"] == "cancelled"
