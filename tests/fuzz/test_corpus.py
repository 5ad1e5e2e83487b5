"""Everything the fuzzer once found worth keeping, and what once broke a law, in the quick suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmad_processor.model import Signal

from .http_connection import Connections
from .laws import Laws
from .targets import TARGETS, of_body, of_json

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(Laws())
    yield made
    made.close()


@pytest.mark.parametrize("target", TARGETS)
def test_replay(target: str, connections: Connections) -> None:
    laws = Laws()
    ways: dict[str, Callable[[bytes], object]] = {
        "json": lambda data: of_json(laws, data),
        "body": lambda data: of_body(laws, data),
        "http": connections.hold,
    }
    hold = ways.get(target) or (lambda data: laws.request(Signal(target), data))
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) > 5
    for path in inputs:
        try:
            hold(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path}: {error}") from error


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000
