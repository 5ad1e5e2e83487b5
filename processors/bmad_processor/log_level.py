"""How much a process of ours says: ``BMAD_OTEL_LOG_LEVEL``, else ``LOG_LEVEL``, which other programs read too."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final

VARIABLES: Final = ("BMAD_OTEL_LOG_LEVEL", "LOG_LEVEL")

_OURS: Final = ("bmad_otel", "bmad_processor")

_LEVELS: Final = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}


def log_level(environ: Mapping[str, str] = os.environ) -> tuple[int | None, str]:
    """The level that the variables ask for, None when they do not, and a complaint about a value that is no level."""
    for name in VARIABLES:
        text = environ.get(name, "").strip()
        if text:
            level = _LEVELS.get(text.upper())
            complaint = "" if level is not None else f"{name}={text} is ignored (expected one of {', '.join(_LEVELS)})"
            return level, complaint
    return None, ""


def set_up_logging(default: int = logging.INFO) -> None:
    """Sends the log of this process to standard error, our own part of it at the level asked for.

    Other libraries stay at the default: what they say in detail is about themselves.
    """
    level, complaint = log_level()
    logging.basicConfig(level=default, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in _OURS:
        logging.getLogger(name).setLevel(default if level is None else level)
    if complaint:
        logging.getLogger("bmad_otel").warning("%s", complaint)
