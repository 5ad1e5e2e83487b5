"""The pytest plugin, loaded in every run of every program that has bmad-otel installed: it does nothing until asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bmad_otel.testing import ManualClock, Telemetry, capture


@pytest.fixture
def bmad_telemetry() -> Iterator[Telemetry]:
    """What the code under test reports through OpenTelemetry in this test.

    Errors inside bmad_otel are raised instead of logged, `bmad_otel.configure` connects to nothing, and nothing of the
    test is left for the next one.
    """
    with capture() as telemetry:
        yield telemetry


@pytest.fixture
def bmad_clock() -> Iterator[ManualClock]:
    """The clocks of bmad_otel in this test: they stand still until `advance` is called."""
    clock = ManualClock()
    with clock.in_use():
        yield clock
