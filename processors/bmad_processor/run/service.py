"""The collector process: a collector, and the signals that end it."""

from __future__ import annotations

import logging
import os
import signal as signals
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from bmad_processor.config import load_config
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.config import ConsoleConfig
from bmad_processor.log_level import set_up_logging

from .collector import Collector
from .components import ApiFactory

_LOG: Final = logging.getLogger("bmad_otel.collector")


def run_collector(
    paths: Sequence[Path], *, build_api: ApiFactory, on_ready: Callable[[Collector], None] | None = None
) -> int:
    """Runs a collector until SIGINT or SIGTERM; a second signal ends it at once. Returns the exit code.

    ``on_ready`` is told once when everything listens. Raises ConfigError, StartError and StoreError for the
    command line to show.
    """
    set_up_logging()
    config = load_config(paths)
    for warning in config.warnings:
        _LOG.warning("%s", warning)
    # Blocked before the first thread exists, so that every thread inherits it and only `sigwait` below gets them: no
    # handler runs in the middle of anything.
    asked_to_stop = {signals.SIGINT, signals.SIGTERM}
    signals.pthread_sigmask(signals.SIG_BLOCK, asked_to_stop)
    with Collector(config, build_api=build_api, console=ConsoleWriter(ConsoleConfig(), sys.stdout)) as collector:
        if on_ready is not None:
            on_ready(collector)
        signals.sigwait(asked_to_stop)
        _LOG.info("stopping")
        for number in asked_to_stop:
            signals.signal(number, _exit_at_once)
        signals.pthread_sigmask(signals.SIG_UNBLOCK, asked_to_stop)
    return 0


def _exit_at_once(number: int, _: FrameType | None) -> None:
    """Asked twice: the user does not want to wait for backends."""
    os._exit(128 + number)
