"""The reference pages and the descriptions they are made from."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from bmad_processor.config.describe import describe, render_value
from bmad_processor.config.profiles import ProfileConfig
from bmad_processor.config.schema import TYPES, ServiceConfig
from bmad_processor.fields import parse_duration
from bmad_processor.quantities import render_duration
from docs import generate

MODELS: list[type[BaseModel]] = [m for types in TYPES.values() for m in types.values()] + [ServiceConfig, ProfileConfig]


def test_pages_are_up_to_date() -> None:
    assert generate.outdated() == [], "run python -m docs.generate"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_option_says_what_it_means(model: type[BaseModel]) -> None:
    for option in describe(model):
        assert option.meaning, option.name
        assert option.kind, option.name


def test_defaults_and_bounds_carry_their_units() -> None:
    options = {o.name: o for o in describe(TYPES["processors"]["agent_performance"])}
    interval = options["monitoring_interval"]
    assert (interval.kind, interval.default, interval.bounds) == ("duration", "5s", "1s to 1m")
    assert options["alerts::clear_margin"].default == "5%"
    assert options["baseline::smoothing"].bounds == "more than 0, at most 1"
    assert options["history::size"].bounds == "at least 1"


@pytest.mark.parametrize("value_ns", [0, 1, 999, 1_000, 1_500_000, 90 * 10**9, 86_400 * 10**9, 10**15 + 7])
def test_durations_read_back(value_ns: int) -> None:
    assert parse_duration(render_duration(value_ns)) == value_ns


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("size", 64 * 2**20, "64MiB"),
        ("size", 1000, "1000"),
        ("share", 0.3, "30%"),
        ("number", 0.1, "0.1"),
        ("true or false", True, "true"),
        ("list of text", ("a", "b"), "[a, b]"),
        ("text", "", '""'),
    ],
)
def test_values_as_written(kind: str, value: object, text: str) -> None:
    assert render_value(kind, value) == text
