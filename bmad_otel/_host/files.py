"""Reads of small files of /proc and /sys. What is missing, unreadable or not understood is None, never an error."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 1 << 20
"""A mount table of thousands of mounts has about half of this; nothing longer is wanted in memory."""

_PIECE: Final = 1 << 16

_LINE: Final = re.compile(r"^([^\s:]+):?[ \t]+([0-9]{1,20})(?: kB)?$", re.MULTILINE)


def text(path: Path) -> str | None:
    """The file's text, without the white space around it."""
    try:
        file = os.open(path, os.O_RDONLY)  # a fifth of what a buffered text file costs, and these are read every time
        try:
            content = os.read(file, _PIECE)
            more = content
            while more and len(content) < _MOST_BYTES:
                more = os.read(file, _PIECE)
                content += more
        finally:
            os.close(file)
    except OSError:
        return None
    return content.decode(errors="replace").strip()


def number(path: Path) -> int | None:
    """A file of one whole number; the ``max`` of an absent limit is None."""
    return whole(text(path))


def whole(digits: str | None) -> int | None:
    """The number that ``digits`` writes."""
    try:
        return None if digits is None else int(digits)
    except ValueError:
        return None


def table(path: Path) -> dict[str, int]:
    """A file of lines ``key value`` or ``key: value kB``: the numbers as they stand, by key."""
    return {key: int(value) for key, value in _LINE.findall(text(path) or "")}
