"""Tracked functions in a program that has set no provider at all."""

from __future__ import annotations

from sdk.discard import plain
from sdk.loops import SetUp
from sdk.setups.tracked import FORMS


def set_up() -> SetUp:
    return SetUp({"plain": plain, "tracked": FORMS["tracked"]})
