"""One worker process and the conversation with it."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from bmad_processor.config import load_config
from bmad_processor.run.workers.child import Child
from bmad_processor.run.workers.control import FAILED, LISTEN, LISTENING, PREPARED, STATUS, STOP
from bmad_processor.run.workers.start import Start, config_of_worker, listeners
from tests.run.collectors import write_config

from .several import is_alive


@contextmanager
def child(folder: Path, of_version: str) -> Iterator[Child]:
    config = load_config([write_config(folder)])
    start = Start(of_version, 0, 1, config_of_worker(config, 0, listeners(config)), is_colored=False)
    running = Child(0, start.frame(), ())
    try:
        yield running
    finally:
        running.kill()
        running.wait(5)


def said(running: Child) -> str:
    message = running.next_message()
    assert message is not None
    return str(message["is"])


def test_a_package_that_was_upgraded_starts_no_worker(tmp_path: Path) -> None:
    with child(tmp_path, "0.0.1") as running:
        message = running.next_message()
        assert message is not None
        assert message["is"] == FAILED
        assert message["why"] == f"version {version('bmad-otel')} is installed, 0.0.1 runs: start the collector again"
        assert running.next_message() is None
        assert running.wait(10) == 1


@pytest.mark.parametrize("how", ["told", "asked by a signal"])
def test_it_ends_in_order(how: str, tmp_path: Path) -> None:
    with child(tmp_path, version("bmad-otel")) as running:
        assert said(running) == PREPARED
        running.tell(LISTEN)
        assert said(running) == LISTENING
        os.kill(running.pid, signals.SIGINT)
        os.kill(running.pid, signals.SIGHUP)  # both are for the supervisor
        if how == "told":
            running.tell(STOP, within_s=5)
        else:
            os.kill(running.pid, signals.SIGTERM)
        assert running.next_message() is None
        assert running.wait(10) == 0
        assert not is_alive(running.pid)
        assert running.questions.ask(STATUS, 1) is None, "nobody answers any more"
