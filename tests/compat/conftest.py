"""Programs in the shapes of BMAD on the import path, and BMAD's modules forgotten after each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from bmad_otel.compat.instrument import uninstrument_bmad
from bmad_otel.testing import Telemetry
from tests.sdk.conftest import Telemetry as Kept
from tests.sdk.conftest import run_python

__all__ = ["CLIENTS", "named", "run_python"]

CLIENTS = Path(__file__).parent / "clients"


def forget_bmad() -> None:
    """Let the next import of a client find it anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("bmad", "integrations")]:
        del sys.modules[name]


@pytest.fixture
def bmad(_providers: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The clients can be imported; what they write goes to a directory of the test's own.

    The providers of the test run come first: a client's tracer sets its own where there is none.
    """
    monkeypatch.syspath_prepend(str(CLIENTS))
    monkeypatch.chdir(tmp_path)
    forget_bmad()
    yield
    uninstrument_bmad()
    forget_bmad()


@pytest.fixture
def ended(_providers: Kept, bmad_telemetry: Telemetry) -> list[ReadableSpan]:
    """The spans that have ended, as OpenTelemetry has them: with kinds and links."""
    _providers.exporter.clear()
    return _providers.exporter._finished_spans


def named(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    """The one span of this name."""
    (found,) = [span for span in spans if span.name == name]
    return found
