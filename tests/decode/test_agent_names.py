"""One name per agent, safe to print, whatever was sent."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.agent_names import CANONICAL, MAX_NAME_LENGTH, canonical, clean

ANY_TEXT = st.text(st.characters(), max_size=300) | st.text(max_size=20).map(lambda text: text * 20)
"""Lone surrogates included: JSON can carry them."""


def spellings(name: str) -> set[str]:
    words = "".join(f" {c}" if c.isupper() else c for c in name).split()
    joined = {"-".join(words), "_".join(words), " ".join(words), name, f"  {name}\n"}
    return {form for text in joined for form in (text, text.lower(), text.upper())}


@pytest.mark.parametrize("name", CANONICAL)
def test_every_spelling_of_every_agent(name: str) -> None:
    for spelling in spellings(name):
        assert canonical(spelling) == name
    if not name.endswith("Agent"):
        assert {canonical(f"{name}Agent"), canonical(f"{name.lower()}-agent")} == {name}


def test_there_are_23_agents_and_no_spelling_means_two() -> None:
    assert len(set(CANONICAL)) == 23
    assert [canonical(name) for name in CANONICAL] == list(CANONICAL)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("backend", "BackendDeveloper"),
        ("Frontend", "FrontendDeveloper"),
        ("devops", "DevOpsInfra"),
        ("AI-dev", "AiDeveloper"),
    ],
)
def test_short_names(alias: str, name: str) -> None:
    assert canonical(alias) == name


@pytest.mark.parametrize("name", ["Planner", "my agent", "größer", "助手", "a/b", "otel.overflow", ""])
def test_names_of_others_stay(name: str) -> None:
    assert canonical(name) == name


@pytest.mark.parametrize(
    "name", ["a\x00b", "a\x1b[2Jb", "a\nb", "a\x9bb", "a\u202eb", "a\u2028b", "a\ud800b", "a\u200bb", "\x7f"]
)
def test_nothing_that_moves_a_terminal(name: str) -> None:
    cleaned = canonical(name)
    assert "\N{REPLACEMENT CHARACTER}" in cleaned
    assert cleaned.encode("utf-8")


def test_long_names_stay_apart() -> None:
    long = "n" * 10_000
    one, other = canonical(long + "1"), canonical(long + "2")
    assert one != other
    assert len(one) == len(other) == MAX_NAME_LENGTH
    assert canonical("n" * MAX_NAME_LENGTH) == "n" * MAX_NAME_LENGTH


@given(ANY_TEXT)
def test_any_name_becomes_safe_and_stays_what_it_became(name: str) -> None:
    safe = canonical(name)
    assert len(safe) <= MAX_NAME_LENGTH
    assert not any(unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" for c in safe)
    assert clean(safe) == safe
    assert canonical(safe) == safe
