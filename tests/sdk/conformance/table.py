"""Which rows a decorator passes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from . import test_async_generators, test_calls, test_classes, test_content, test_generators, test_threads
from .kit import Traced

Row = Callable[[Traced], None]

ROWS: Final[dict[str, Row]] = {
    name.removeprefix("test_"): row
    for module in (test_calls, test_generators, test_async_generators, test_classes, test_content, test_threads)
    for name, row in vars(module).items()
    if name.startswith("test_")
}


def passed_by(traced: Traced, forget: Callable[[], None]) -> set[str]:
    """The rows ``traced`` passes; see `run_all`."""
    return {name for name, error in run_all(traced, forget).items() if error is None}


def run_all(traced: Traced, forget: Callable[[], None]) -> dict[str, BaseException | None]:
    """What each row raised, None if it passed. ``forget`` drops what was traced so far.

    Each row runs in a context of its own and its garbage is collected at once, so that no fault of one row shows in the
    next one.
    """
    results: dict[str, BaseException | None] = {}
    gc.collect()
    gc.freeze()  # so that a collection looks at the garbage of one row, not at all modules ever imported
    try:
        for name, row in ROWS.items():
            forget()
            with _quiet(), traced.in_use():
                results[name] = _error_of(row, traced)
    finally:
        gc.unfreeze()
        forget()
    return results


def _error_of(row: Row, traced: Traced) -> BaseException | None:
    try:
        contextvars.Context().run(row, traced)
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        return error
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Faults are what is looked for: coroutines never awaited, errors while collecting."""

    def ignore(_: Any) -> None: ...

    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook, threading.excepthook = ignore, ignore
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        sys.unraisablehook, threading.excepthook = hooks
