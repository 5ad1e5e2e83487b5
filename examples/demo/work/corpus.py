"""The material of the agents: Python files that are on every machine with this demo.

Only files of moderate size are used, so that one task takes tens of milliseconds on an ordinary machine.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SMALLEST_BYTES: Final = 2_000
LARGEST_BYTES: Final = 40_000
"""Parsing this much takes about 50 ms; the few larger files would make tasks of half a second."""


def stdlib_files() -> list[Path]:
    """The modules of the standard library, its packages left out, in the order of their names."""
    return _usable(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))


def installed_packages() -> list[Path]:
    """The directories of the packages installed beside this program."""
    root = Path(sysconfig.get_path("purelib"))
    return sorted(path.parent for path in root.glob("*/__init__.py"))


def package_files(package: Path) -> list[Path]:
    """The modules of one installed package."""
    return _usable(sorted(package.rglob("*.py")))


def batches(files: list[Path], limit_bytes: int = LARGEST_BYTES) -> Iterator[list[Path]]:
    """``files`` in portions of about the same amount of work: at most ``limit_bytes`` together, at least one file."""
    batch: list[Path] = []
    total = 0
    for path in files:
        size = path.stat().st_size
        if batch and total + size > limit_bytes:
            yield batch
            batch, total = [], 0
        batch.append(path)
        total += size
    if batch:
        yield batch


def read(path: Path) -> str:
    """The source of a file; a few test files of the standard library are deliberately not UTF-8."""
    return path.read_text(encoding="utf-8", errors="replace")


def _usable(files: list[Path]) -> list[Path]:
    return [path for path in files if SMALLEST_BYTES <= path.stat().st_size <= LARGEST_BYTES]
