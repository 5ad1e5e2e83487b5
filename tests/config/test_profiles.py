"""Profiles: units, layers, and the three that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmad_processor.config import load_profiles
from bmad_processor.config.thresholds import parse_value
from bmad_processor.layering import merge_thresholds
from bmad_processor.metric_types import Direction, render
from bmad_processor.model import Level, PartitionKey
from bmad_processor.settings import DEFAULT_THRESHOLDS, Profile, Profiles, ScalingRules

SHIPPED = Path(__file__).parents[2] / "collector-config" / "profiles"
I, W, C, E = Level  # noqa: E741


def read(tmp_path: Path, **files: str) -> Profiles:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    profiles, problems = load_profiles([tmp_path], {})
    assert [str(p) for p in problems] == []
    return profiles


@pytest.mark.parametrize(
    ("agent", "group", "cpu", "response", "error", "scaling"),
    [
        ("ProductOwner", "planning", (0.60, 0.80), (3, 8), (0.03, 0.08), ScalingRules(0.70, 0.80, 1, 3)),
        ("Architect", "design", (0.70, 0.85), (5, 12), (0.02, 0.05), ScalingRules(0.75, 0.85, 1, 2)),
        ("TestEngineer", "quality", (0.80, 0.90), (10, 20), (0.05, 0.10), ScalingRules(0.85, 0.90, 1, 5)),
    ],
)
def test_shipped_profiles(
    agent: str,
    group: str,
    cpu: tuple[float, float],
    response: tuple[float, float],
    error: tuple[float, float],
    scaling: ScalingRules,
) -> None:
    profiles, problems = load_profiles([SHIPPED], {})
    assert problems == []
    assert profiles.by_agent[agent] == Profile(
        agent,
        {
            "cpu_usage": {W: cpu[0], C: cpu[1], E: 0.95},
            "memory_usage": {W: 0.80, C: 0.90, E: 0.95},
            "response_time": {W: response[0], C: response[1], E: 30},
            "error_rate": {W: error[0], C: error[1], E: 0.20},
            "queue_size": {W: 100, C: 500, E: 1000},
        },
        scaling,
        monitoring_enabled=True,
        auto_scaling_enabled=True,
        group=group,
    )


def test_shipped_default_is_the_built_in_one() -> None:
    profiles, _ = load_profiles([SHIPPED / "default.yaml"], {})
    assert profiles.default == Profile("*")
    assert profiles.by_agent == {}
    assert profiles.of(PartitionKey("agent", "", "Unheard")) == Profile("*")


@pytest.mark.parametrize(
    ("metric", "levels"),
    [
        ("cpu_usage", (0.70, 0.85, 0.95)),
        ("memory_usage", (0.80, 0.90, 0.95)),
        ("response_time", (5, 10, 30)),
        ("error_rate", (0.05, 0.10, 0.20)),
        ("queue_size", (100, 500, 1000)),
    ],
)
def test_agents_without_a_profile_have_the_thresholds_of_the_bmad_monitor(
    metric: str, levels: tuple[float, float, float]
) -> None:
    assert Profiles().of(PartitionKey("agent", "", "Unheard")).thresholds[metric] == dict(
        zip((W, C, E), levels, strict=True)
    )


def test_layers(tmp_path: Path) -> None:
    profiles = read(
        tmp_path,
        everyone='agent: "*"\nthresholds: {cpu_usage: {warning: 50%}, throughput: {warning: 2}}\n'
        "scaling: {max_instances: 8}\nauto_scaling_enabled: false\n",
        one="agent: one\nthresholds: {cpu_usage: {critical: 90%, emergency: null}}\nscaling: {cpu_threshold: null}\n",
        two="agent: two\nauto_scaling_enabled: true\nmonitoring_enabled: false\n",
    )
    assert profiles.default.thresholds["cpu_usage"] == {W: 0.5, C: 0.85, E: 0.95}
    one, two = profiles.by_agent["one"], profiles.by_agent["two"]
    assert one.thresholds["cpu_usage"] == {W: 0.5, C: 0.9}
    assert one.thresholds["throughput"] == {W: 2}
    assert one.scaling == ScalingRules(None, 0.80, 1, 8)
    assert (one.monitoring_enabled, one.auto_scaling_enabled) == (True, False)
    assert (two.monitoring_enabled, two.auto_scaling_enabled) == (False, True)
    assert two.thresholds == profiles.default.thresholds


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        ({}, {W: 0.70, C: 0.85, E: 0.95}),
        ({C: 0.80}, {W: 0.70, C: 0.80, E: 0.95}),
        ({C: 0.95}, {W: 0.70, C: 0.95, E: 0.95}),
        ({C: 0.97}, {W: 0.70, C: 0.97}),
        ({C: 0.50}, {C: 0.50, E: 0.95}),
        ({W: 0.90}, {W: 0.90, E: 0.95}),
        ({I: 0.10}, {I: 0.10, W: 0.70, C: 0.85, E: 0.95}),
        ({W: None}, {C: 0.85, E: 0.95}),
        ({W: None, C: None, E: None}, None),
        ({W: None, C: 0.99, E: None}, {C: 0.99}),
    ],
)
def test_merging_levels(own: dict[Level, float | None], merged: dict[Level, float] | None) -> None:
    assert merge_thresholds(DEFAULT_THRESHOLDS, {"cpu_usage": own}).get("cpu_usage") == merged


def test_merging_levels_where_low_is_bad() -> None:
    below = {"success_rate": {W: 0.95, C: 0.90, E: 0.80}}
    assert merge_thresholds(below, {"success_rate": {C: 0.75}}) == {"success_rate": {W: 0.95, C: 0.75}}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cpu_usage", "60%", 0.6), ("cpu_usage", 0.6, 0.6), ("cpu_usage", "150%", 1.5), ("cpu_usage", 60, None),
        ("memory_usage", "101%", None), ("memory_usage", "512 MiB", None), ("memory_bytes", "512 MiB", 512 * 2**20),
        ("memory_bytes", "512MiB", 512 * 2**20), ("memory_bytes", "1.5gb", 1.5e9), ("memory_bytes", 7, 7.0),
        ("memory_bytes", "80%", None), ("error_rate", "3%", 0.03), ("error_rate", "nan%", None),
        ("error_rate", 0, 0.0),
        ("response_time", "500ms", 0.5), ("response_time", "1m30s", 90.0), ("response_time", 3, 3.0),
        ("response_time", "3", None), ("response_time", True, None), ("response_time", "9" * 400 + "s", None),
        ("disk_io", "50MiB", 50 * 2**20), ("disk_io", "1MB/s", 1e6), ("disk_io", 7, 7.0), ("disk_io", "x", None),
        ("queue_size", 100, 100.0), ("queue_size", -1, None), ("queue_size", "100", None),
        ("queue_size", float("inf"), None), ("queue_size", 10**400, None), ("throughput", 0.5, 0.5),
        ("custom:lag", 3, 3.0), ("custom:lag", "3s", None), ("cpu_usage", "-5%", None), ("cpu_usage", None, None),
    ],
)  # fmt: skip
def test_units(name: str, text: str | float | None, value: float | None) -> None:
    assert parse_value(name, text) == value


def test_names_are_canonical_and_files_come_in_order(tmp_path: Path) -> None:
    profiles = read(tmp_path, b="agent: product-owner\n", a="agent: My Agent\n", c="agent: system\n")
    assert list(profiles.by_agent) == ["My Agent", "ProductOwner", "system"]
    assert profiles.of(PartitionKey("host", "", "web-1")).agent == "system"


def test_custom_metric_types(tmp_path: Path) -> None:
    profiles = read(tmp_path, a="agent: a\nthresholds: {custom:lag: {warning: 3, critical: 5}}\n")
    assert profiles.by_agent["a"].thresholds["custom:lag"] == {W: 3, C: 5}


def test_a_group_lies_between_the_default_and_the_agent(tmp_path: Path) -> None:
    profiles = read(
        tmp_path,
        agent="agent: one\ngroup: builders\nthresholds: {cpu_usage: {critical: 90%}}\n",
        alone="agent: two\nthresholds: {cpu_usage: {critical: 90%}}\n",
        everyone='agent: "*"\nthresholds: {cpu_usage: {warning: 50%, critical: 60%}}\nscaling: {max_instances: 7}\n',
        shared="group: builders\nthresholds: {cpu_usage: {warning: 80%}}\nscaling: {min_instances: 2}\n"
        "monitoring_enabled: false\n",
    )
    one, two = profiles.by_agent["one"], profiles.by_agent["two"]
    assert one.thresholds["cpu_usage"] == {W: 0.8, C: 0.9, E: 0.95}
    assert two.thresholds["cpu_usage"] == {W: 0.5, C: 0.9, E: 0.95}
    assert (one.scaling, two.scaling) == (ScalingRules(0.75, 0.8, 2, 7), ScalingRules(0.75, 0.8, 1, 7))
    assert (one.group, two.group) == ("builders", "")
    assert (one.monitoring_enabled, two.monitoring_enabled) == (False, True)
    assert profiles.default.monitoring_enabled
    assert one.origins == {
        "thresholds::cpu_usage::warning": "group",
        "thresholds::cpu_usage::critical": "agent",
        "scaling::max_instances": "default",
        "scaling::min_instances": "group",
        "monitoring_enabled": "group",
    }
    assert list(profiles.by_agent) == ["one", "two"]  # a shared part is nobody's profile


def test_memory_as_a_size_is_a_threshold_of_bytes(tmp_path: Path) -> None:
    text = "agent: a\nthresholds: {memory_usage: {warning: 512 MiB, critical: 1GiB}}\n"
    thresholds = read(tmp_path, a=text).by_agent["a"].thresholds
    assert thresholds["memory_bytes"] == {W: 512 * 2**20, C: 2**30}
    assert thresholds["memory_usage"] == {E: 0.95}, "a level is one threshold, whatever its unit"
    assert render("memory_bytes", thresholds["memory_bytes"][W]) == "512.0 MiB"


def test_a_share_above_a_size_takes_its_level_over(tmp_path: Path) -> None:
    thresholds = read(
        tmp_path,
        everyone='agent: "*"\nthresholds: {memory_usage: {warning: 512 MiB, critical: 1 GiB}}\n',
        a="agent: a\nthresholds: {memory_usage: {warning: 70%, critical: null}}\n",
        b="agent: b\nthresholds: {memory_bytes: {warning: 256 MiB}, memory_usage: {critical: 90%}}\n",
    ).by_agent
    assert "memory_bytes" not in thresholds["a"].thresholds
    assert thresholds["a"].thresholds["memory_usage"] == {W: 0.7, E: 0.95}
    assert thresholds["b"].thresholds["memory_bytes"] == {W: 256 * 2**20, C: 2**30}
    assert thresholds["b"].thresholds["memory_usage"] == {C: 0.9, E: 0.95}


def test_a_profile_says_which_side_is_bad(tmp_path: Path) -> None:
    profiles = read(
        tmp_path,
        everyone='agent: "*"\nthresholds: {"custom:coverage": {direction: low_is_bad, warning: 80, critical: 60}}\n',
        a='agent: a\nthresholds: {"custom:coverage": {critical: 50},'
        " queue_size: {direction: low_is_bad, warning: 5}}\n",
    )
    a = profiles.by_agent["a"]
    assert a.thresholds["custom:coverage"] == {W: 80, C: 50}
    assert a.directions == {"custom:coverage": Direction.LOW_IS_BAD, "queue_size": Direction.LOW_IS_BAD}
    assert a.direction_of("cpu_usage") is Direction.HIGH_IS_BAD
    # the inherited levels of the queue contradict the side that is bad now
    assert a.thresholds["queue_size"] == {W: 5}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            '"custom:x": {direction: down, warning: 3}',
            "2: thresholds::custom:x::direction: 'down' is not understood (expected high_is_bad or low_is_bad)",
        ),
        (
            '"custom:x": {direction: low_is_bad, warning: 3, critical: 5}',
            "2: thresholds::custom:x::critical: critical 5.00 is above warning 3.00"
            " (expected critical at or below warning)",
        ),
        (
            "memory_usage: {warning: 1GiB, critical: 512MiB}",
            "2: thresholds::memory_usage::critical: critical 512.0 MiB is below warning 1024.0 MiB"
            " (expected critical at or above warning)",
        ),
        (
            "memory_usage: {warning: 512MiB}, memory_bytes: {warning: 1GiB}",
            "2: thresholds::memory_usage::warning: '512MiB' is a threshold of memory_bytes, which has one of its own",
        ),
        (
            "memory_usage: {warning: 512 parsec}",
            "2: thresholds::memory_usage::warning: '512 parsec' is not understood"
            " (expected a share such as 60%, or 0 to 1, or a size such as 512 MiB)",
        ),
        (
            '"reported:x": {warning: 1}',
            "2: thresholds::reported:x: unknown metric type 'reported:x'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, block: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(f"agent: a\nthresholds: {{{block}}}\n")
    _, problems = load_profiles([tmp_path], {})
    (problem,) = problems
    assert f"a.yaml:{message}" in str(problem)


@pytest.mark.parametrize(("text", "cost"), [("0.25", 0.25), ("3", 3.0), ("null", None)])
def test_cost_per_hour(tmp_path: Path, text: str, cost: float | None) -> None:
    profiles = read(tmp_path, a=f"agent: a\nscaling: {{cost_per_hour: {text}}}\n")
    assert profiles.by_agent["a"].scaling.cost_per_hour == cost


@pytest.mark.parametrize("text", ["-1", ".inf", "cheap"])
def test_cost_per_hour_that_is_no_amount(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(f"agent: a\nscaling: {{cost_per_hour: {text}}}\n")
    _, problems = load_profiles([tmp_path], {})
    assert [problem.path for problem in problems] == ["scaling::cost_per_hour"]
