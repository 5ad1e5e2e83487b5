"""How much a process of ours says: ``BMAD_OTEL_LOG_LEVEL``, else ``LOG_LEVEL``, which other programs read too."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from .log_lines import LogStyle, Sampler, formatter

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


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that it is found again and somebody else's is left alone."""

    sampler: Sampler | None = None


def set_up_logging(default: int = logging.INFO, style: LogStyle | None = None) -> None:
    """Sends the log of this process to standard error, our own part of it at the level asked for.

    Other libraries stay at the default, or louder: what they say in detail is about themselves. May be called again
    with another style; a log that somebody else has set up stays as it is.
    """
    style = style or LogStyle()
    level, complaint = log_level()
    root = logging.getLogger()
    handler = next((found for found in root.handlers if isinstance(found, _Handler)), None)
    if handler is None and not root.handlers:
        handler = _Handler(sys.stderr)
        root.addHandler(handler)
    if handler is not None:
        if handler.sampler is not None:
            handler.removeFilter(handler.sampler)
        handler.sampler = Sampler(style.sampling)
        handler.addFilter(handler.sampler)
        handler.setFormatter(formatter(style))
        root.setLevel(max(default, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(default if level is None else level)
    if complaint:
        logging.getLogger("bmad_otel").warning("%s", complaint)


def lines_left_out() -> int:
    """Repeats that were not written since the log was set up."""
    samplers = (handler.sampler for handler in logging.getLogger().handlers if isinstance(handler, _Handler))
    return sum(sampler.n_left_out for sampler in samplers if sampler is not None)
