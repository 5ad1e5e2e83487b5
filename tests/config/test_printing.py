"""What a configuration amounts to, printed: complete, readable again, and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bmad_processor.config import load_config
from bmad_processor.config.catalog import catalog
from bmad_processor.config.hidden import sounds_secret
from bmad_processor.config.load import read_tree
from bmad_processor.config.printing import printed, to_yaml
from bmad_processor.config.schema import ALIASES, TYPES

SHIPPED = Path(__file__).parents[2] / "collector-config"

WITH_SECRETS = """\
receivers: {otlp: {protocols: {grpc: }}}
exporters:
  otlp_grpc:
    endpoint: https://tempo.example:4317
    headers: {authorization: Bearer s3cr3t, x-tenant: s3cr3t}
  otlp_http:
    endpoint: https://user:s3cr3t@tempo.example:4318
    headers: {api-key: "${env:KEY}"}
  file: {path: "${file:hidden.txt}"}
  debug: {}
extensions:
  sqlite: {path: "${env:STATE_TOKEN}/a$$b.db"}
service:
  extensions: [sqlite]
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc, otlp_http, file]}}
"""
ENVIRON = {"KEY": "0123", "STATE_TOKEN": "s3cr3t"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "hidden.txt").write_text("s3cr3t\n")
    found = tmp_path / "with_secrets.yaml"
    found.write_text(WITH_SECRETS)
    return found


@pytest.mark.parametrize("has_defaults", [False, True])
def test_no_secret_is_printed(path: Path, has_defaults: bool) -> None:
    text = to_yaml(printed(read_tree([path], ENVIRON), has_defaults=has_defaults))
    assert "s3cr3t" not in text
    assert "0123" not in text
    data = YAML(typ="safe").load(text)
    assert data["exporters"]["otlp_grpc"]["headers"] == {"authorization": "[REDACTED]", "x-tenant": "[REDACTED]"}
    assert data["exporters"]["otlp_http"]["endpoint"] == "https://[REDACTED]@tempo.example:4318"
    assert data["exporters"]["otlp_grpc"]["endpoint"] == "https://tempo.example:4317"


@pytest.mark.parametrize("has_defaults", [False, True])
def test_unredacted_it_reads_back_as_the_same(path: Path, tmp_path: Path, has_defaults: bool) -> None:
    tree = read_tree([path], ENVIRON)
    again = tmp_path / "elsewhere" / "again.yaml"
    again.parent.mkdir()
    again.write_text(to_yaml(printed(tree, is_redacted=False, has_defaults=has_defaults)))
    before, after = load_config([path], ENVIRON), load_config([again], {})
    assert (after.receivers, after.exporters, after.extensions) == (
        before.receivers,
        before.exporters,
        before.extensions,
    )
    assert after.pipelines == before.pipelines


@pytest.mark.parametrize("has_defaults", [False, True])
def test_what_ships_reads_back_as_the_same(tmp_path: Path, has_defaults: bool) -> None:
    sources = [SHIPPED / "bmad-collector.yaml", SHIPPED / "bmad-collector-forward.yaml"]
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(printed(read_tree(sources, {}), is_redacted=False, has_defaults=has_defaults)))
    before, after = load_config(sources, {}), load_config([again], {})
    assert (after.exporters, after.extensions, after.engine) == (before.exporters, before.extensions, before.engine)


def test_defaults_are_filled_in_with_their_units(path: Path) -> None:
    data = printed(read_tree([path], ENVIRON), has_defaults=True)
    grpc = data["receivers"]["otlp"]["protocols"]["grpc"]
    assert (grpc["endpoint"], grpc["max_recv_msg_size"]) == ("localhost:4317", "64MiB")
    assert "http" not in data["receivers"]["otlp"]["protocols"], "off stays off"
    assert data["exporters"]["otlp_grpc"]["timeout"] == "5s"


def test_a_wrong_block_is_printed_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("exporters: {otlp_grpc: {end: 1, token: abc}, nothing: {password: abc}}\nservice: 5\n")
    assert printed(read_tree([path], {}), has_defaults=True) == {
        "exporters": {"otlp_grpc": {"end": 1, "token": "[REDACTED]"}, "nothing": {"password": "[REDACTED]"}},
        "service": 5,
    }


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "apiKey",
        "api-key",
        "token",
        "auth_token",
        "client_secret",
        "privateKey",
        "Authorization",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("name", ["key_file", "token_file", "compass", "endpoint", "monkey", "max_tokens_per", "path"])
def test_names_of_anything_else(name: str) -> None:
    assert not sounds_secret(name)


def test_the_catalog_has_every_component() -> None:
    assert {(c.section, c.type) for c in catalog()} == {(s, kind) for s, kinds in TYPES.items() for kind in kinds}
    assert {a for c in catalog() for a in c.aliases} == {alias for names in ALIASES.values() for alias in names}
    assert all(c.summary and c.stability in ("stable", "beta", "alpha", "development") for c in catalog())
