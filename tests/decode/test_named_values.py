"""A program's own values, and what an agent says of itself: one metric type for each name."""

from __future__ import annotations

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from bmad_processor.decode import Decoded, Decoder
from bmad_processor.model import PartitionKey, Reading, Signal

from .metric_points import CUSTOM, REPORTED, SECOND, TIME_NS, gauge, number, request, total

KEY = PartitionKey("agent", "", "Architect")


def decode(*metrics: Metric) -> Decoded:
    return Decoder(interval_ns=5 * SECOND).decode(Signal.METRICS, request(metrics, service_instance_id="i"))


def named(name: object, unit: object = None, **more: object) -> dict[str, object]:
    pairs = {"gen_ai.agent.name": "architect", "bmad.metric.name": name, "bmad.metric.unit": unit, **more}
    return {key: content for key, content in pairs.items() if content is not None}


@pytest.mark.parametrize(("metric", "prefix"), [(CUSTOM, "custom"), (REPORTED, "reported")])
def test_a_value_has_its_name_unit_and_agent(metric: str, prefix: str) -> None:
    (sample,) = decode(gauge(metric, number(3.5, named("story points", "{point}")))).samples
    assert sample == Reading(KEY, "i", f"{prefix}:story points", "mean:", TIME_NS, 3.5, "{point}")


def test_one_series_per_name() -> None:
    result = decode(gauge(CUSTOM, number(1.0, named("a")), number(2.0, named("b")), number(3, named("a", x="y"))))
    found = [(s.metric_type, s.value) for s in result.samples if isinstance(s, Reading)]
    assert found == [("custom:a", 1.0), ("custom:b", 2.0), ("custom:a", 3.0)]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (" padded ", "padded"),
        ("line\nbreak\x1b[2J", "line\ufffdbreak\ufffd[2J"),
        (7, "7"),
        ("custom:x", "custom:x"),
    ],
)
def test_names_are_made_safe(name: object, kept: str) -> None:
    (sample,) = decode(gauge(CUSTOM, number(1.0, named(name)))).samples
    assert isinstance(sample, Reading)
    assert sample.metric_type == f"custom:{kept}"


def test_long_names_stay_apart_and_units_are_cut() -> None:
    result = decode(gauge(CUSTOM, *(number(1.0, named("n" * 500 + end, "u" * 500)) for end in "ab")))
    names = [(s.metric_type, len(s.unit)) for s in result.samples if isinstance(s, Reading)]
    assert len({name for name, _ in names}) == 2
    assert all(len(name) == len("custom:") + 128 and n == 32 for name, n in names)


@pytest.mark.parametrize("unit", [None, "", "1"])
def test_no_unit(unit: str | None) -> None:
    (sample,) = decode(gauge(CUSTOM, number(1.0, named("x", unit)))).samples
    assert isinstance(sample, Reading)
    assert sample.unit == ""


@pytest.mark.parametrize("name", [None, "", "  "])
def test_without_a_name_it_is_counted_and_not_used(name: str | None) -> None:
    result = decode(gauge(REPORTED, number(1.0, named(name))))
    assert (result.items, result.samples, result.dropped) == (1, (), {"values_without_name": 1})


def test_values_that_are_no_number_are_counted() -> None:
    result = decode(gauge(CUSTOM, number(float("nan"), named("x")), number(None, named("x"))))
    assert (result.samples, result.dropped) == ((), {"values_not_finite": 2})


def test_only_gauges() -> None:
    assert decode(total(CUSTOM, number(1.0, named("x")))).samples == ()
