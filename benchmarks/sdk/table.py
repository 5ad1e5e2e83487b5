"""Tables as they stand in docs/benchmarks.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
    """Print a Markdown table with its columns aligned."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    print(f"\n## {title}\n")
    print(line(header))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        print(line(row))
    for note in notes:
        print(f"\n{note}")
    sys.stdout.flush()


def us(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"


def verdict(value: float, limit: float) -> str:
    return "met" if value <= limit else "MISSED"
