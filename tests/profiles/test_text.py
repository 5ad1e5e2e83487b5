"""Editing a profile's text: the value changes, everything else stays, character by character."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bmad_processor.config.profile_patch import ProfilePatch, read_patch
from bmad_processor.config.profile_text import edit_text, new_profile
from bmad_processor.config.profiles import load_profiles, read_layers
from bmad_processor.config.shipped import shipped_profiles
from bmad_processor.errors import ConfigError
from bmad_processor.model import Level

TEXT = """\
# Why this agent is watched.
agent: 'ProductOwner'   # quoted

thresholds:
  # processor
  cpu_usage: {warning: 60%, critical: 80%}      # of one core
  response_time:
    warning: "500ms"   # fast

    critical: 8s
    # the end of the times
  # the end of the thresholds

# scaling
scaling:
  cpu_threshold: 0.7
  max_instances: 3  # as many as there are tables
monitoring_enabled: yes_or_no
# the end
"""
TEXT = TEXT.replace("yes_or_no", "true")


def patch(**body: Any) -> ProfilePatch:
    found, problems = read_patch("ProductOwner", body)
    assert problems == []
    return found


def levels(metric: str, **of_level: Any) -> dict[str, Any]:
    return {"thresholds": {metric: of_level}}


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        (levels("cpu_usage", warning=65), "60%", "65%"),
        (levels("cpu_usage", warning="0.65"), "warning: 60%", 'warning: "0.65"'),
        (levels("cpu_usage", emergency=99.5), "80%}", "80%, emergency: 99.5%}"),
        (levels("cpu_usage", info=10), "{warning", "{info: 10%, warning"),
        (levels("cpu_usage", critical=None), "critical: 80%", "critical: null"),
        (levels("cpu_usage", critical="inherit"), ", critical: 80%", ""),
        (levels("cpu_usage", warning="inherit"), "warning: 60%, ", ""),
        (levels("response_time", warning=0.75), '"500ms"', '"750ms"'),
        (levels("response_time", critical=9), "critical: 8s", "critical: 9s"),
        (levels("response_time", critical="90s"), "critical: 8s", "critical: 90s"),
        (levels("response_time", critical="inherit"), "    critical: 8s\n", ""),
        (levels("response_time", emergency=30), "critical: 8s\n", "critical: 8s\n    emergency: 30s\n"),
        (levels("custom:lag", warning=3), "times\n", "times\n  custom:lag: {warning: 3}\n"),
        ({"scaling": {"cpu_threshold": 75}}, "0.7", "0.75"),
        ({"scaling": {"max_instances": 4}}, "max_instances: 3", "max_instances: 4"),
        ({"scaling": {"min_instances": 2}}, "tables\n", "tables\n  min_instances: 2\n"),
        ({"scaling": {"cpu_threshold": None}}, "0.7", "null"),
        ({"monitoring_enabled": False}, "true", "false"),
        ({"auto_scaling_enabled": False}, "enabled: true\n", "enabled: true\nauto_scaling_enabled: false\n"),
    ],
)
def test_one_value(body: dict[str, Any], old: str, new: str) -> None:
    assert TEXT.count(old) == 1
    wanted = TEXT.replace(old, new)
    if "custom:lag" in body.get("thresholds", {}):
        # it comes behind what belongs to the block above it
        wanted = TEXT.replace(
            "    # the end of the times\n", "    # the end of the times\n  custom:lag: {warning: 3}\n"
        )
    assert edit_text(TEXT, "p.yaml", patch(**body)) == wanted
    windows = TEXT.replace("\n", "\r\n")
    assert edit_text(windows, "p.yaml", patch(**body)) == wanted.replace("\n", "\r\n")
    assert edit_text("\ufeff" + TEXT, "p.yaml", patch(**body)) == "\ufeff" + wanted


def test_replacing_takes_away_what_was_said_before() -> None:
    edited = edit_text(TEXT, "p.yaml", patch(**levels("error_rate", warning=3)), replace=True)
    assert edited.startswith("# Why this agent is watched.\nagent: 'ProductOwner'   # quoted\n")
    assert "error_rate: {warning: 3%}" in edited
    for gone in ("cpu_usage", "response_time", "cpu_threshold", "monitoring_enabled"):
        assert gone not in edited
    assert "# scaling" in edited


@pytest.mark.parametrize(
    "text",
    [
        "agent: ProductOwner\nthresholds:\n",
        "agent: ProductOwner\nthresholds: {}\n",
        "agent: ProductOwner\nthresholds:\n  cpu_usage:\n",
        "agent: ProductOwner\nthresholds: {cpu_usage: {}}\n",
        "{agent: ProductOwner, thresholds: {cpu_usage: {warning: }}}",
        "{agent: ProductOwner}",
        "agent: ProductOwner",
        "agent: ProductOwner\nthresholds:\n  cpu_usage:\n    warning:\n    critical: 90%\n",
        "---\nagent: ProductOwner\nthresholds: {cpu_usage: {critical: 90%}}\n...\n",
    ],
)
def test_blocks_that_are_empty_or_missing(text: str, tmp_path: Path) -> None:
    edited = edit_text(text, "p.yaml", patch(**levels("cpu_usage", warning=55)))
    (tmp_path / "p.yaml").write_text(edited)
    profiles, problems = load_profiles([tmp_path], {})
    assert problems == []
    assert profiles.by_agent["ProductOwner"].thresholds["cpu_usage"][Level.WARNING] == 0.55


@pytest.mark.parametrize("nothing", ["", " null", " ~"])
def test_the_comment_of_an_empty_block_stays(nothing: str) -> None:
    text = f"agent: a\nthresholds:{nothing}  # when it is in trouble\n# the end\n"
    edited = edit_text(text, "p.yaml", patch(**levels("cpu_usage", warning=55)))
    assert edited == "agent: a\nthresholds:  # when it is in trouble\n  cpu_usage: {warning: 55%}\n# the end\n"


def test_an_alias_is_not_changed_behind_its_other_uses() -> None:
    text = "agent: a\nthresholds:\n  cpu_usage: &both {warning: 50%}\n  memory_usage: *both\n"
    with pytest.raises(ConfigError, match="alias"):
        edit_text(text, "p.yaml", patch(**levels("memory_usage", warning=60)))


def test_a_new_profile_of_any_name(tmp_path: Path) -> None:
    for number, name in enumerate(["${env:HOME}", "5", "true", "a: b # c", "\N{PILE OF POO}", "'"]):
        text = edit_text(new_profile(name), "p.yaml", patch(scaling={"max_instances": 2}))
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    profiles, problems = load_profiles([tmp_path], {})
    assert problems == []
    assert list(profiles.by_agent) == ["${env:HOME}", "5", "true", "a: b # c", "\N{PILE OF POO}", "'"]
    assert all(profile.scaling.max_instances == 2 for profile in profiles.by_agent.values())


# The property ---------------------------------------------------------------------------------------------------------

_METRICS = ("cpu_usage", "response_time", "queue_size", "custom:lag")
_WRITTEN = {
    "cpu_usage": ["60%", "0.6", '"60%"', "'61.5%'"],
    "response_time": ["3s", "500ms", "1m30s", "2", '"4s"'],
    "queue_size": ["100", "7.5"],
    "custom:lag": ["3", "0"],
}
_LEVELS = ("info", "warning", "critical", "emergency")


@st.composite
def files(draw: st.DrawFn) -> str:
    """A profile as a person may write it: any order and style, comments everywhere."""
    n = 0

    def comment(indent: int = 0) -> str:
        nonlocal n
        if not draw(st.booleans()):
            return ""
        n += 1
        return f"{' ' * indent}# c{n}.\n"

    def tail() -> str:
        nonlocal n
        if not draw(st.booleans()):
            return ""
        n += 1
        return f"  # c{n}."

    def value(metric: str) -> str:
        return draw(st.sampled_from(_WRITTEN[metric]))

    text = comment() + f"agent: ProductOwner{tail()}\n"
    blocks = draw(st.permutations(["thresholds", "scaling", "monitoring_enabled"]))
    for block in blocks[: draw(st.integers(0, 3))]:
        text += draw(st.sampled_from(["", "\n"])) + comment()
        if block == "monitoring_enabled":
            text += f"monitoring_enabled: {draw(st.sampled_from(['true', 'false']))}{tail()}\n"
        elif block == "scaling":
            if draw(st.integers(0, 4)) == 0:
                text += f"scaling:{tail()}\n"
                continue
            text += f"scaling:{tail()}\n{comment(2)}  max_instances: 5{tail()}\n"
            if draw(st.booleans()):
                text += f"  cpu_threshold: {draw(st.sampled_from(['70%', '0.7', 'null']))}{tail()}\n" + comment(2)
        else:
            metrics = draw(st.lists(st.sampled_from(_METRICS), unique=True, min_size=1))
            indent = draw(st.sampled_from([2, 4]))
            text += f"thresholds:{tail()}\n"
            for metric in metrics:
                # one level per metric type: any value is in order then
                level = draw(st.sampled_from(_LEVELS))
                text += comment(indent)
                if draw(st.booleans()):
                    inner = draw(st.sampled_from(["{%s}", "{ %s }", "{%s,}"])) % f"{level}: {value(metric)}"
                    text += f"{' ' * indent}{metric}: {inner}{tail()}\n"
                else:
                    text += f"{' ' * indent}{metric}:{tail()}\n{comment(indent + 2)}"
                    text += f"{' ' * (indent + 2)}{level}: {value(metric)}{tail()}\n{comment(indent + 2)}"
    return text + comment()


_number = st.integers(1, 90) | st.sampled_from([0.5, 12.25, 33.3])
_bodies = st.fixed_dictionaries(
    {},
    optional={
        "thresholds": st.dictionaries(
            st.sampled_from(_METRICS),
            st.dictionaries(st.sampled_from(_LEVELS), _number | st.none() | st.just("inherit"), min_size=1, max_size=1),
            max_size=3,
        ),
        "scaling": st.fixed_dictionaries(
            {}, optional={"max_instances": st.integers(5, 9), "cpu_threshold": _number | st.none() | st.just("inherit")}
        ),
        "monitoring_enabled": st.booleans(),
        "auto_scaling_enabled": st.booleans(),
    },
)


def _plain(text: str) -> tuple[dict[tuple[str, str], float | None], dict[str, Any]] | None:
    """Thresholds and the rest; None when levels are out of order, which is no matter of the text."""
    path = Path("p.yaml")
    layers, problems = read_layers([path], {}, instead={path: text})
    assert all(" is below " in str(problem) for problem in problems), problems
    if problems:
        return None
    layer = layers.agents["ProductOwner"]
    thresholds = {(metric, level.label): v for metric, of in layer.thresholds.items() for level, v in of.items()}
    return thresholds, layer.config.model_dump(exclude_unset=True, exclude={"thresholds", "agent"})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=files(), body=_bodies)
@example(text=TEXT, body={"thresholds": {"cpu_usage": {"info": 5}}, "auto_scaling_enabled": False})
def test_edit_then_load_is_what_was_asked_for(text: str, body: dict[str, Any]) -> None:
    changes, problems = read_patch("ProductOwner", body)
    assert problems == []
    found, edited = _plain(text), edit_text(text, "p.yaml", changes)
    again = _plain(edited)
    if found is None or again is None:
        return
    (before, rest_before), (after, rest) = found, again
    wanted = dict(before)
    for metric, of in body.get("thresholds", {}).items():
        for level, number in of.items():
            if number == "inherit":
                wanted.pop((metric, level), None)
            else:
                scale = 100 if metric == "cpu_usage" else 1
                wanted[metric, level] = None if number is None else pytest.approx(number / scale)
    assert after == wanted
    scaling = {**rest_before.get("scaling", {})}
    for key, number in body.get("scaling", {}).items():
        if number == "inherit":
            scaling.pop(key, None)
        else:
            scaling[key] = pytest.approx(number / 100) if key == "cpu_threshold" and number is not None else number
    assert rest.get("scaling", {}) == scaling
    for switch in ("monitoring_enabled", "auto_scaling_enabled"):
        assert rest.get(switch) == body.get(switch, rest_before.get(switch))
    if "inherit" not in json.dumps(body):
        for word in text.split():
            if word.startswith("c") and word.endswith("."):
                assert edited.count(f"# {word}") == 1, f"comment {word} is gone"
        kept = [line for line in edited.splitlines() if line in text.splitlines()]
        assert len(text.splitlines()) - len(kept) <= len(changes.wishes)  # a line per value at most


@pytest.mark.parametrize("path", sorted(shipped_profiles().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_change_and_its_way_back_leave_a_shipped_file_as_it_was(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    there = edit_text(text, "p.yaml", patch(**levels("custom:lag", warning=3)))
    assert there != text
    assert "custom:lag: {warning: 3}" in there
    back = edit_text(there, "p.yaml", patch(**levels("custom:lag", warning="inherit")))
    assert back.replace("\n\n", "\n").strip() == text.replace("\n\n", "\n").strip()


def test_memory_in_bytes_is_changed_where_it_is_written() -> None:
    text = "agent: a\nthresholds:\n  memory_usage: {warning: 512MiB, critical: 1GiB, emergency: 95%}\n"
    edited = edit_text(text, "p.yaml", patch(**levels("memory_bytes", warning=600, critical=2048)))
    assert edited == text.replace("512MiB", "600MiB").replace("1GiB", "2GiB")
    assert edit_text(text, "p.yaml", patch(**levels("memory_usage", warning=70))) == text.replace("512MiB", "70%")
    edited = edit_text("agent: a\n", "p.yaml", patch(**levels("memory_bytes", warning=600)))
    assert edited == "agent: a\n\nthresholds:\n  memory_bytes: {warning: 600MiB}\n"
