"""No process of the demo outlives it, even when it is killed: its standard input is a pipe that only the demo holds.

``python -m examples.demo.lifeline MODULE:FUNCTION ARGUMENT...`` does what a console script does, under this rule.
The kernel closes the pipe when the demo ends, however it ends; the process then gets SIGTERM, its own orderly way out.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TextIO


def hold(on_line: Callable[[str], None] | None = None, stream: TextIO | None = None) -> None:
    """Watches standard input from a thread: its end ends this process, its lines go to ``on_line``."""
    lines = sys.stdin if stream is None else stream

    def watch() -> None:
        for line in lines:
            if on_line is not None:
                on_line(line.strip())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    """Calls the function named in the arguments."""
    hold()
    module, _, function = sys.argv[1].partition(":")
    sys.argv = sys.argv[1:]
    sys.exit(getattr(importlib.import_module(module), function)())


if __name__ == "__main__":
    main()
