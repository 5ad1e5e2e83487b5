"""Every problem of a wrong configuration, in the words a user reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bmad_processor.config import load_config
from bmad_processor.errors import ConfigError

TESTDATA = Path(__file__).parent / "testdata"
BAD = sorted(path.name for path in (TESTDATA / "bad").glob("*.yaml"))


@pytest.mark.parametrize("name", BAD)
def test_bad_file_gives_exactly_the_problems_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # paths as the user gave them, so that the golden text is the same everywhere
    monkeypatch.chdir(TESTDATA / "bad")
    with pytest.raises(ConfigError) as caught:
        load_config([Path(name)], {})
    golden = TESTDATA / "bad" / name.replace(".yaml", ".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(f"{caught.value}\n", encoding="utf-8")
    assert f"{caught.value}\n" == golden.read_text(encoding="utf-8")


def test_no_golden_text_is_left_over() -> None:
    assert {p.stem for p in (TESTDATA / "bad").glob("*.txt")} == {Path(name).stem for name in BAD}


def test_no_problem_speaks_of_the_machinery() -> None:
    said = "".join(p.read_text(encoding="utf-8") for p in (TESTDATA / "bad").glob("*.txt"))
    for word in (
        "pydantic",
        "function-",
        "Value error",
        "Input should",
        "ruamel",
        "NoneType",
        "dict",
        "tuple",
        "[key]",
    ):
        assert word not in said


def test_several_files_report_in_the_order_given(tmp_path: Path) -> None:
    first, second = tmp_path / "z.yaml", tmp_path / "a.yaml"
    first.write_text("receivers: {otlp: {protocols: {grpc: {endpoint: 1}}}}\nexporters: {nope: {}}\n")
    second.write_text("x: 1\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [nope]}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config([first, second], {})
    assert [(Path(p.file).name, p.line) for p in caught.value.problems] == [("z.yaml", 1), ("z.yaml", 2), ("a.yaml", 1)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "missing.yaml", "no such file"),
        (lambda p: p, "cannot be read: Is a directory"),
        (lambda p: _write(p / "latin.yaml", b"a: 1\nb: \xe9\n"), "not UTF-8 text"),
        (lambda p: _write(p / "big.yaml", b"a" * (8 * 2**20 + 1)), "the file is too large (expected at most 8 MiB)"),
        (lambda p: _write(p / "deep.yaml", b"[" * 5000), "nested too deeply"),
        (lambda p: _write(p / "bomb.yaml", _bomb()), "too many values (expected at most 100000)"),
    ],
)
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([make(tmp_path)], {})
    assert message in str(caught.value)


def test_no_file_at_all_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="no file was given"):
        load_config([], {})


def test_a_long_value_is_shown_shortened(tmp_path: Path) -> None:
    path = _write(tmp_path / "c.yaml", f"extensions: {{api: {{endpoint: {'x' * 500}}}}}".encode())
    with pytest.raises(ConfigError) as caught:
        load_config([path], {})
    assert "x" * 77 + "..." in str(caught.value)
    assert "x" * 78 not in str(caught.value)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines).encode()
