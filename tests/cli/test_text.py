"""Amounts of money as a person reads them."""

from __future__ import annotations

import pytest

from bmad_processor.cli.text import money


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        (None, "-"), (0.0, "$0.00"), (12.3, "$12.30"), (12345.678, "$12,345.68"), (1.0, "$1.00"), (0.999, "$1.00"),
        (0.5, "$0.50"), (0.123456, "$0.123"), (0.00421, "$0.00421"), (0.0000001, "$0.0000001"), (0.0999, "$0.0999"),
    ],
)  # fmt: skip
def test_money(dollars: float | None, shown: str) -> None:
    assert money(dollars) == shown
