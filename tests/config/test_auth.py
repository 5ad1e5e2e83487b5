"""Authenticators, TLS and secrets in configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmad_processor.config import load_config
from bmad_processor.errors import ConfigError
from bmad_processor.fields import REDACTED
from bmad_processor.receive import OtlpReceiverConfig
from bmad_processor.security import BearerTokenAuthConfig

WHOLE = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0", %(receiver)s}
exporters: {debug: {}}
extensions:
  sqlite: {path: x.db}
  api: {%(api)s}
  %(extension)s
service:
  extensions: [%(running)s]
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
"""
BEARER = 'bearertokenauth: {token: "${env:TOKEN}"}'
AUTH = "auth: {authenticator: bearertokenauth}"


def load(tmp_path: Path, **parts: str) -> Any:
    whole = {"receiver": "", "api": "", "extension": "", "running": "sqlite, api", **parts}
    path = tmp_path / "c.yaml"
    path.write_text(WHOLE % whole)
    return load_config([path], {"TOKEN": "12345"})


def problems(tmp_path: Path, **parts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **parts)
    return [str(problem).removeprefix(str(tmp_path)) for problem in caught.value.problems]


@pytest.mark.parametrize("spelling", ["bearertokenauth", "bearer_token_auth", "bearertokenauth/second"])
def test_an_authenticator(tmp_path: Path, spelling: str) -> None:
    auth = f"auth: {{authenticator: {spelling}}}"
    config = load(tmp_path, receiver=auth, api=auth, extension=BEARER.replace("bearertokenauth", spelling),
                  running=f"sqlite, api, {spelling}")  # fmt: skip
    block = config.extensions[spelling]
    assert isinstance(block, BearerTokenAuthConfig)
    assert block.token is not None
    assert block.token.reveal() == "12345", "digits are a text, too"
    assert "12345" not in f"{config} {config!r} {block.model_dump()} {block.model_dump_json()} {block.token}"
    assert REDACTED in repr(block)
    receiver = config.receivers["otlp"]
    assert isinstance(receiver, OtlpReceiverConfig)
    assert receiver.protocols.grpc is not None
    assert receiver.protocols.grpc.auth is not None


def test_one_that_is_not_there(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, receiver=AUTH)
    assert said == (
        "/c.yaml:5: receivers::otlp::protocols::grpc::auth::authenticator: 'bearertokenauth' is not an authenticator"
        " among service::extensions (expected an extension of type bearertokenauth or basicauth)"
    )


def test_one_that_does_not_run(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, api=AUTH, extension=BEARER)
    assert said.startswith("/c.yaml:9: extensions::api::auth::authenticator: 'bearertokenauth' is not")


def test_one_that_is_none(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, receiver="auth: {authenticator: sqlite}", extension=BEARER,
                       running="sqlite, api, bearertokenauth")  # fmt: skip
    assert said.endswith("'sqlite' is not an authenticator among service::extensions (expected bearertokenauth)")


def test_one_for_the_other_side(tmp_path: Path) -> None:
    extension = "basicauth: {client_auth: {username: a, password: b}}"
    (said,) = problems(tmp_path, receiver="auth: {authenticator: basicauth}", extension=extension,
                       running="sqlite, api, basicauth")  # fmt: skip
    assert said.endswith("'basicauth' has no htpasswd (expected htpasswd in extensions::basicauth)")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{}", "no token is given (expected one of token, tokens, filename)"),
        ("{token: a, filename: b}", "token and filename are both given (expected one of token, tokens, filename)"),
        ("{token: [s3cret]}", "what is written here is not understood (expected text, best from"),
        ("{token: 31337}", "what is written here is not understood (expected text, best from"),
        ('{token: ""}', "empty (expected a secret that is not empty)"),
        ("{tokens: [s3cret, 31337]}", "what is written here is not understood"),
        ("{token: a, scheme: 'two words'}", "'two words' is not understood"),
    ],
)  # fmt: skip
def test_wrong_blocks_are_said_without_their_secrets(tmp_path: Path, block: str, said: str) -> None:
    (problem,) = problems(tmp_path, extension=f"bearertokenauth: {block}", running="sqlite, api, bearertokenauth")
    assert said in problem
    assert "s3cret" not in problem
    assert "31337" not in problem


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        ("tls: {cert_file: a}", "grpc::tls::key_file: is missing"),
        ('tls: {cert_file: a, key_file: b, min_version: "1.3"}', "tls::min_version cannot be honoured by gRPC"),
        ("read_buffer_size: 1024", "grpc::read_buffer_size: read_buffer_size cannot be honoured"),
        ("transport: unix", "grpc::endpoint: '127.0.0.1:0' is not an endpoint for transport unix (expected the path"),
        ("keepalive: {server_parameters: {time: 0s}}", "out of range"),
    ],
)  # fmt: skip
def test_what_a_listener_cannot_do_is_said(tmp_path: Path, receiver: str, said: str) -> None:
    (problem,) = problems(tmp_path, receiver=receiver)
    assert said in problem
