"""Errors of our own: contained and told once in the observed program, raised in our own tests."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import Final

RAISE_VARIABLE: Final = "BMAD_OTEL_RAISE_INTERNAL"
"""Set to ``1`` to let internal errors through; our test suite does."""

_MAX_CAUSES: Final = 100
"""Distinct causes told before all further ones are kept quiet: a bound on memory and on log volume."""

_logger = logging.getLogger("bmad_otel")
_lock = threading.RLock()
_told: set[tuple[str, type[BaseException]]] = set()
_contained = 0


def contain(where: str, error: Exception) -> None:
    """Keep ``error``, raised by our own code in ``where``, away from the program we observe.

    The first error of each cause (place and type) is logged with its traceback, later ones are silent, because the
    place may be passed a million times. Raises ``error`` again when ``BMAD_OTEL_RAISE_INTERNAL=1``.
    """
    global _contained
    _contained += 1
    if os.environ.get(RAISE_VARIABLE) == "1":
        raise error
    report(where, error)


def report(where: str, error: Exception) -> None:
    """Log ``error``, once for each cause, also where our own errors are raised: it is the program's."""
    cause = (where, type(error))
    with _lock:
        if cause in _told or len(_told) >= _MAX_CAUSES:
            return
        _told.add(cause)
    with contextlib.suppress(Exception):  # a broken log handler must not reach the caller either
        _logger.error("bmad_otel: error while %s; the program goes on, this is said once", where, exc_info=error)


def contained() -> int:
    """Errors contained so far in this process."""
    return _contained


def warn_once(cause: str, message: str, *values: object) -> None:
    """Log one warning for each ``cause`` in the life of the process."""
    key = (cause, Warning)
    with _lock:
        if key in _told:
            return
        _told.add(key)
    _logger.warning(message, *values)


def after_fork_in_child() -> None:
    """Replace the lock: the thread that held it in the parent does not exist here."""
    global _lock
    _lock = threading.RLock()
