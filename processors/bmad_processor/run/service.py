"""The collector process: a collector, and the signals that reload and end it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal as signals
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from bmad_processor.config import CollectorConfig, load_config
from bmad_processor.config.sources import Source
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.config import ConsoleConfig
from bmad_processor.errors import ConfigError, ProcessorError
from bmad_processor.log_level import set_up_logging

from .collector import Collector
from .components import ApiFactory
from .workers.collector import WorkersCollector, is_colored

_LOG: Final = logging.getLogger("bmad_otel.collector")

AnyCollector = Collector | WorkersCollector
"""One process, or several that are one collector."""


RELOAD: Final = signals.SIGHUP
"""Reads the same configuration again."""


def run_collector(
    sources: Sequence[Source],
    *,
    build_api: ApiFactory,
    settings: Sequence[str] = (),
    on_ready: Callable[[AnyCollector], None] | None = None,
) -> int:
    """Runs a collector until SIGINT or SIGTERM; a second signal ends it at once. SIGHUP reads ``sources`` and
    ``settings`` again and brings what has changed into force. Returns the exit code.

    ``on_ready`` is told when everything listens, and again after every reload. Raises ConfigError, StartError and
    StoreError for the command line to show.
    """
    set_up_logging()
    config = _load(sources, settings)
    # Blocked before the first thread exists, so that every thread inherits it and only `sigwait` below gets them: no
    # handler runs in the middle of anything, and a reload and a stop never meet.
    has_terminal = _has_terminal()
    asked_to_stop = {signals.SIGINT, signals.SIGTERM}
    signals.pthread_sigmask(signals.SIG_BLOCK, asked_to_stop | {RELOAD})
    failed = threading.Event()

    def give_up() -> None:
        failed.set()
        os.kill(os.getpid(), signals.SIGTERM)

    with _collector(config, build_api, give_up) as collector:
        if on_ready is not None:
            on_ready(collector)
        while signals.sigwait(asked_to_stop | {RELOAD}) == RELOAD:
            if has_terminal and not _has_terminal():
                _LOG.info("the terminal is gone")
                break
            _LOG.info("reading the configuration again")
            _reload(collector, sources, settings)
            if on_ready is not None:
                on_ready(collector)
        _LOG.info("stopping")
        for number in asked_to_stop:
            signals.signal(number, _exit_at_once)
        signals.pthread_sigmask(signals.SIG_UNBLOCK, asked_to_stop)
    return int(failed.is_set())


def _collector(config: CollectorConfig, build_api: ApiFactory, give_up: Callable[[], None]) -> AnyCollector:
    if config.workers > 1:
        return WorkersCollector(config, build_api=build_api, is_colored=is_colored(), on_give_up=give_up)
    return Collector(config, build_api=build_api, console=ConsoleWriter(ConsoleConfig(), sys.stdout))


def _load(sources: Sequence[Source], settings: Sequence[str]) -> CollectorConfig:
    config = load_config(sources, settings=settings)
    _log_as(config)
    for warning in config.warnings:
        _LOG.warning("%s", warning)
    return config


def _reload(collector: AnyCollector, sources: Sequence[Source], settings: Sequence[str]) -> None:
    """Whatever is wrong is in the log and in the status, and the collector runs on."""
    try:
        config = _load(sources, settings)
    except ConfigError as error:
        collector.reject(error)
        return
    with contextlib.suppress(ProcessorError):  # said by the collector
        collector.reload(config)
        _log_as(config)


def _log_as(config: CollectorConfig) -> None:
    logs = config.telemetry.logs
    set_up_logging(logs.numeric_level, logs.style())


def _has_terminal() -> bool:
    """Whether somebody sits in front of it. A terminal that is closed sends the signal that means a reload as well."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        return False
    return True


def _exit_at_once(number: int, _: FrameType | None) -> None:
    """Asked twice: the user does not want to wait for backends."""
    os._exit(128 + number)
