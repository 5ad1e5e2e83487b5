"""Tables and lines: coloured with rich on a terminal, plain aligned text anywhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .text import safe

STYLES: Final = {
    "emergency": "bold white on red",
    "critical": "bold red",
    "warning": "yellow",
    "info": "cyan",
    "fail": "bold red",
}
"""By the text of a cell; everything else is printed as it is."""


class Output:
    """Writes to standard output what telemetry said, cleaned; notes and errors go to standard error."""

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            # a terminal that cannot show a character shows a question mark; it is no reason to fail
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line."""
        if self._console.is_terminal:
            self._console.print(Text(safe(text), style=style))
        else:
            sys.stdout.write(safe(text) + "\n")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """A table; columns named in ``right`` are aligned to the right."""
        if self._console.is_terminal:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for header in headers:
                table.add_column(header, justify="right" if header in right else "left", overflow="fold")
            for row in rows:
                # Text, not str: rich would take brackets in a name for markup
                table.add_row(*(Text(safe(cell), style=STYLES.get(cell, "")) for cell in row))
            self._console.print(table, soft_wrap=False)
            return
        cells = [[safe(cell) for cell in row] for row in (headers, *rows)]
        widths = [max(cell_len(row[i]) for row in cells) for i in range(len(headers))]
        for row in cells:
            padded = []
            for header, width, cell in zip(headers, widths, row, strict=True):
                space = " " * (width - cell_len(cell))
                padded.append(space + cell if header in right else cell + space)
            sys.stdout.write("  ".join(padded).rstrip() + "\n")

    @staticmethod
    def json(value: Any) -> None:
        """The value as JSON, exactly as the API gives it. ASCII only, so it carries no control characters either."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")

    @staticmethod
    def note(text: str) -> None:
        """A sentence beside the result, on standard error."""
        sys.stderr.write(safe(text) + "\n")
