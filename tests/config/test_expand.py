"""Environment variables and files in configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.config.expand import expand
from bmad_processor.config.tree import Node, plain

ENVIRON = {"A": "a", "N": "5", "T": "true", "E": "", "Z": "null", "X": "${env:A} $$", "_u1": "u", "L": "[1, 2]"}


def expanded(text: str, file: str = "c.yaml") -> tuple[object, list[str]]:
    node, problems = expand(Node({"key": Node(text, file, 3, 3)}, file, 1, 1), ENVIRON)
    return plain(node)["key"], [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:A}", "a"),
        ("${A}", "a"),
        ("${_u1}", "u"),
        ("${env:N}", 5),
        ("${env:T}", True),
        ("${env:E}", None),
        ("${env:Z}", None),
        ("${env:L}", "[1, 2]"),
        ("${env:NO:-1.5}", 1.5),
        ("${NO:-x:-y}", "x:-y"),
        ("${env:NO:-}", None),
        ("${env:E:-default}", None),
        ("${env:A:-default}", "a"),
        ("n=${env:N}", "n=5"),
        ("${env:N}${env:N}", "55"),
        ("${env:A}-${env:NO:-z}", "a-z"),
        ("$$", "$"),
        ("$${env:A}", "${env:A}"),
        ("$$${env:A}", "$a"),
        ("$A costs $5", "$A costs $5"),
        ("${env:X}", "${env:A} $$"),
        (" ${env:N}", " 5"),
    ],
)
def test_vectors(text: str, value: object) -> None:
    result, problems = expanded(text)
    assert problems == []
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:NO}", "environment variable NO is not set"),
        ("${NO}", "environment variable NO is not set"),
        ("${}", "'' is not the name"),
        ("${env:}", "'' is not the name"),
        ("${env:1A}", "'1A' is not the name"),
        ("${env:A B}", "'A B' is not the name"),
        ("${env:Ä}", "'Ä' is not the name"),
        ("${http:A}", "'http:' cannot be expanded"),
        ("${env:A:-${env:B}}", "${...} inside ${...}"),
        ("x ${env:A", "'${' is never closed"),
        ("${file:nowhere}", "the file 'nowhere' cannot be read: No such file or directory"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    _, problems = expanded(text)
    assert len(problems) == 1
    assert problems[0].startswith("c.yaml:3: key: ")
    assert message in problems[0]


def test_a_file_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret ${env:A}\n")
    (tmp_path / "number").write_text("42\n")
    assert expanded("${file:secret}", str(tmp_path / "c.yaml")) == ("s3cret ${env:A}", [])
    assert expanded("${file:number}", str(tmp_path / "c.yaml")) == (42, [])


@given(st.text())
def test_text_without_dollar_is_left_alone(text: str) -> None:
    if "$" not in text:
        assert expanded(text) == (text, [])


@given(st.text(alphabet="$ab{}:-env ENVA", max_size=30))
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    assert expanded(text.replace("$", "$$")) == (text, [])
