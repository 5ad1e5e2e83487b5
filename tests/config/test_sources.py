"""Where configuration may come from, and what lies over what."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmad_processor.config import CollectorConfig, load_config
from bmad_processor.emit.config import OtlpGrpcConfig
from bmad_processor.errors import ConfigError, Problem

BASE = """\
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:1"}}}}
exporters: {otlp_grpc: {endpoint: "tempo:4317", headers: {x-a.b: one}}, debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc, debug]}}}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text(BASE)
    return path


def exporter(config: CollectorConfig) -> OtlpGrpcConfig:
    found = config.exporters["otlp_grpc"]
    assert isinstance(found, OtlpGrpcConfig)
    return found


def problems(
    *sources: Path | str, settings: tuple[str, ...] = (), environ: dict[str, str] | None = None
) -> list[Problem]:
    with pytest.raises(ConfigError) as wrong:
        load_config(sources, environ or {}, settings=settings)
    return wrong.value.problems


@pytest.mark.parametrize("scheme", ["", "file:"])
def test_a_path_with_and_without_its_scheme(base: Path, scheme: str) -> None:
    assert exporter(load_config([f"{scheme}{base}"], {})).endpoint == "tempo:4317"


def test_a_document_in_a_variable(base: Path) -> None:
    config = load_config([base, "env:OVER"], {"OVER": "exporters: {otlp_grpc: {endpoint: 'other:1'}}"})
    assert exporter(config).endpoint == "other:1"
    (problem,) = problems("env:OVER")
    assert str(problem) == "env:OVER: the environment variable is not set"
    assert problems("env:OVER", environ={"OVER": "a: b\nexporters: ["})[0].file == "env:OVER"


def test_a_document_on_the_command_line(base: Path) -> None:
    config = load_config([base, "yaml:exporters::otlp_grpc::timeout: 3s"], {})
    assert exporter(config).timeout == 3 * 10**9
    assert exporter(config).endpoint == "tempo:4317", "merged, not replaced"
    two = load_config([base, "yaml:{exporters::otlp_grpc::timeout: 3s, exporters::otlp_grpc::compression: none}"], {})
    assert (exporter(two).timeout, exporter(two).compression) == (3 * 10**9, "none")


@pytest.mark.parametrize("uri", ["http://config.example/a.yaml", "https://config.example/a.yaml"])
def test_nothing_is_fetched(uri: str) -> None:
    (problem,) = problems(uri)
    assert problem.file == uri
    assert "not fetched" in problem.message


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("exporters.otlp_grpc.timeout=3s", ("tempo:4317", 3, ("otlp_grpc", "debug"))),
        ("exporters::otlp_grpc::timeout=3s", ("tempo:4317", 3, ("otlp_grpc", "debug"))),
        (" exporters.otlp_grpc.endpoint = a=b:1 ", ("a=b:1", 5, ("otlp_grpc", "debug"))),
        ("exporters.otlp_grpc.timeout=${env:T}", ("tempo:4317", 7, ("otlp_grpc", "debug"))),
        ("exporters.otlp_grpc={endpoint: 'x:1', timeout: 1s}", ("x:1", 1, ("otlp_grpc", "debug"))),
        ("exporters.otlp_grpc={timeout::unused: 1}", None),
        ("service.pipelines.traces.exporters=[otlp_grpc]", ("tempo:4317", 5, ("otlp_grpc",))),
    ],
)  # fmt: skip
def test_settings_lie_over_everything(base: Path, setting: str, expected: tuple[object, ...] | None) -> None:
    if expected is None:
        assert problems(base, settings=(setting,))
        return
    config = load_config([base], {"T": "7s"}, settings=[setting])
    got = exporter(config)
    assert (got.endpoint, got.timeout // 10**9, config.pipelines["traces"].exporters) == expected


def test_later_settings_win_and_dots_may_belong_to_a_key(base: Path) -> None:
    settings = ["exporters::otlp_grpc::headers::x-a.b=two", "exporters::otlp_grpc::headers::x-a.b=three"]
    assert exporter(load_config([base], {}, settings=settings)).headers == {"x-a.b": "three"}


def test_a_number_may_be_text(base: Path) -> None:
    (problem,) = problems(base, settings=("exporters.otlp_grpc.timeout=3",))
    assert str(problem).startswith(
        "--set exporters.otlp_grpc.timeout: exporters::otlp_grpc::timeout: 3 is not understood"
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("exporters.otlp_grpc.timeout", "there is no '='"),
        ("=3s", "'' is not a path"),
        ("exporters..timeout=3s", "'exporters..timeout' is not a path"),
        ("exporters.otlp_grpc.timeout=a: b: c", "not valid YAML"),
        (".".join("a" * 60) + "=1", "is not a path"),
        ("exporters.otlp_grpc.headers={a: 1, a: 2}", "the key is there twice"),
        ("exporters.otlp_grpc.endpoint=${env:NOWHERE}", "environment variable NOWHERE is not set"),
    ],
)
def test_settings_that_are_none(base: Path, setting: str, message: str) -> None:
    found = problems(base, settings=(setting,))
    assert message in found[0].message
    assert found[0].file.startswith("--set")
    assert found[0].line in (0, 1)


def test_a_setting_does_not_move_what_the_file_says(base: Path) -> None:
    """A mapping that is partly set still stands where it was written."""
    base.write_text(BASE.replace('endpoint: "tempo:4317", ', ""))
    (problem,) = problems(base, settings=("exporters.otlp_grpc.timeout=3s",))
    assert (problem.file, problem.line, problem.message) == (str(base), 2, "is missing")


def test_an_empty_heading_takes_nothing_away(base: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("receivers:\nexporters:\n  debug: {verbosity: detailed}\nservice:\n")
    config = load_config([base, over], {})
    assert set(config.receivers) == {"otlp"}
    assert config.pipelines["traces"].exporters == ("otlp_grpc", "debug")


def test_too_many_files(base: Path) -> None:
    assert problems(*[base] * 101)[0].expected == "at most 100"
