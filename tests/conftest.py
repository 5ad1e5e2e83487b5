"""Settings for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from bmad_otel.testing import Telemetry as Captured
    from tests.sdk.conftest import Telemetry

# No deadline: a slow machine is not a bug. Under CI the same examples every time, so that a red run is about the
# change; elsewhere new ones, to find what nobody thought of.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Started in the background by a shell, a program inherits that Ctrl-C is ignored, and so would those the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _providers() -> Telemetry:
    from tests.sdk.conftest import set_up_providers

    return set_up_providers()


@pytest.fixture
def bmad_telemetry(_providers: Telemetry) -> Iterator[Captured]:
    """The plugin's fixture, with the providers of this test run there first: those it would make are of no use to tests
    that keep spans themselves, and OpenTelemetry takes providers once in a process."""
    from bmad_otel.testing import capture

    with capture() as telemetry:
        yield telemetry
    _providers.exporter.clear()
