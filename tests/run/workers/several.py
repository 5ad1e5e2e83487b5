"""Collectors of several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bmad_processor.config import load_config
from bmad_processor.run.workers.collector import WorkersCollector
from bmad_processor.web import build_api
from tests.run.collectors import write_config


def write_workers(folder: Path, workers: int, **options: Any) -> Path:
    """As `write_config`, for so many workers."""
    return change(write_config(folder, **options), workers=workers)


def change(path: Path, *, workers: int | None = None, receivers: Mapping[str, Any] | None = None) -> Path:
    tree = json.loads(path.read_text())
    if workers is not None:
        tree["service"]["workers"] = workers
    if receivers is not None:
        tree["receivers"]["otlp"]["protocols"] = receivers
    path.write_text(json.dumps(tree))
    return path


@contextmanager
def supervised(path: Path, **options: Any) -> Iterator[WorkersCollector]:
    """A collector whose supervisor is this process; its workers are real ones."""
    with WorkersCollector(load_config([path]), build_api=build_api, **options) as collector:
        yield collector


def pids(status: Mapping[str, Any]) -> list[int]:
    return [worker["pid"] for worker in status["workers"]]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
