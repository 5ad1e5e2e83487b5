"""What waits on disk for a receiver that is away."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from bmad_processor.cli.text import age, plural

from .environment import AREA
from .finding import Finding, Status

VARIABLE: Final = "BMAD_OTEL_SPOOL_DIRECTORY"


def examine_spool() -> list[Finding]:
    """Files, bytes and the oldest; nothing when no spool is asked for."""
    directory = os.environ.get(VARIABLE, "").strip()
    return [_look(Path(directory))] if directory else []


def _look(directory: Path) -> Finding:
    sizes: list[int] = []
    ages_s: list[float] = []
    damaged = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                damaged += entry.name.endswith(".corrupt")
                if entry.name.endswith(".otlp"):
                    try:
                        state = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # delivered meanwhile
                    sizes.append(state.st_size)
                    ages_s.append(max(0.0, time.time() - state.st_mtime))
    except FileNotFoundError:
        detail = f"{VARIABLE}: {directory} does not exist yet; a program that uses it makes it"
        return Finding(AREA, "spool", Status.OK, detail, data={"directory": str(directory), "files": 0, "bytes": 0})
    except OSError as error:
        advice = "it must be a directory that the programs may read and write"
        return Finding(AREA, "spool", Status.PROBLEM, f"{VARIABLE}: {directory}: {error.strerror}", advice)
    data = {
        "directory": str(directory),
        "files": len(sizes),
        "bytes": sum(sizes),
        "oldest_s": round(max(ages_s), 3) if ages_s else None,
        "damaged": damaged,
    }
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        advice = "give the user that runs the programs the right to write there"
        return Finding(AREA, "spool", Status.PROBLEM, f"{directory} cannot be written by this user", advice, data)
    broken = f", {plural(damaged, 'damaged file')} put aside" if damaged else ""
    if not sizes:
        state_ = Status.WARNING if damaged else Status.OK
        return Finding(AREA, "spool", state_, f"{directory} is empty{broken}", _damaged(damaged), data)
    waiting = f"{plural(len(sizes), 'request')} of {sum(sizes):,} bytes in all"
    detail = f"{waiting} in {directory}, the oldest for {age(max(ages_s))}{broken}"
    advice = "they are sent while a program that uses this spool runs and its receiver is there"
    return Finding(AREA, "spool", Status.WARNING, detail, _damaged(damaged) or advice, data)


def _damaged(n: int) -> str:
    return "look at the disk; files that end in .corrupt may be deleted" if n else ""
