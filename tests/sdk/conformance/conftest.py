"""The rows of this package are run on our own decorator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sdk.conftest import Telemetry

from .adapters import BmadOtel
from .kit import Traced


@pytest.fixture
def traced(telemetry: Telemetry) -> Iterator[Traced]:
    adapter = BmadOtel(telemetry.spans, telemetry.points)
    with adapter.in_use():
        yield adapter
