"""One service for the tests that only ask it, and a clean state directory for those that start and stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_processor.service import Home
from bmad_processor.service.control import stop

from .monitor import Monitor


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A running service that has heard of two agents."""
    folder = tmp_path_factory.mktemp("live")
    monitor = Monitor(folder / "home", folder / "work")
    monitor.start("--interval", "1")
    try:
        monitor.send("ProductOwner:4:1", "Architect:2:0")
        yield monitor
    finally:
        monitor.stop()


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    """No service yet; none is left."""
    monitor = Monitor(tmp_path / "home", tmp_path / "work")
    try:
        yield monitor
    finally:
        stop(Home(monitor.home), progress=lambda _: None)
