"""What a tracked call costs here: measured now, in a process of its own, so that no provider of anybody is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from .finding import Finding, Status

AREA: Final = "overhead"

_PROGRAM: Final = "bmad_processor.cli.doctor.overhead_program"

_LIMIT_S: Final = 60.0
"""It takes two seconds; a machine that is busy with other things many times as long."""

_MUCH_US: Final = 500.0
"""Ten times what a slow machine needs: then something looks at every call, such as a debugger or coverage."""


def examine_overhead() -> Finding:
    """CPU microseconds of one call of an empty function, tracked and within a bare span of OpenTelemetry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "BMAD_OTEL_"))}
    environment = kept | {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, a module of ours
            [sys.executable, "-m", _PROGRAM], env=environment, capture_output=True, timeout=_LIMIT_S, check=True
        )
        measured = json.loads(done.stdout)
        tracked_us, bare_us = float(measured["tracked_us"]), float(measured["bare_span_us"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        advice = "does `python -c 'import bmad_otel'` work with this interpreter?"
        return Finding(AREA, "tracked call", Status.WARNING, f"could not be measured: {_why(error)}", advice)
    detail = f"{tracked_us:.1f} us of CPU a call, {tracked_us / bare_us:.2f} x a bare span ({bare_us:.1f} us)"
    if tracked_us > _MUCH_US:
        advice = "is the machine overloaded, or does something watch every call, such as coverage or a debugger?"
        return Finding(AREA, "tracked call", Status.WARNING, detail, advice, measured)
    return Finding(AREA, "tracked call", Status.OK, detail, data=measured)


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took more than {_LIMIT_S:g} s"
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return str(error) or type(error).__name__
