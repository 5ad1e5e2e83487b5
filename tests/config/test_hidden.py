"""Secrets that are wrong: whatever is said about them, they are not in it."""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path

import pytest

from bmad_processor.config import load_config
from bmad_processor.config.load import read_tree
from bmad_processor.config.printing import printed, to_yaml
from bmad_processor.emit import ExportRequest, OtlpGrpcConfig, OtlpHttpConfig, build_exporter
from bmad_processor.errors import ConfigError
from bmad_processor.model import Signal

SECRET = "s3cr3t"

WHOLE = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters:
  otlp_grpc: {endpoint: "localhost:1", %(exporter)s}
extensions:
  sqlite: {path: x.db}
  bearertokenauth: {%(bearer)s}
  basicauth: {%(basic)s}
service:
  extensions: [sqlite, bearertokenauth, basicauth]
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}
"""
RIGHT = {"exporter": "", "bearer": "token: abc", "basic": "client_auth: {username: a, password: b}"}
ENVIRON = {"API_TOKEN": SECRET, "LONG_PASSWORD": f"{SECRET}\nand more"}

WRONG = [
    ("exporter", f"headers: {SECRET}"),
    ("exporter", f"headers: [{SECRET}]"),
    ("exporter", f"headers: {{authorization: [{SECRET}]}}"),
    ("exporter", f"headers: {{authorization: {{{SECRET}: 1}}}}"),
    ("exporter", f'headers: {{x-any: "{SECRET}\\n"}}'),
    ("exporter", f'headers: {{x-any: "{SECRET}é"}}'),
    ("exporter", f"headers: {{x-any: !!int {SECRET}}}"),
    ("exporter", f"headers: {{x-any: !{SECRET} a}}"),
    ("exporter", f"headers: {{x-any: *{SECRET}}}"),
    ("exporter", f"headers: {{x-any: '{SECRET}}}"),
    ("exporter", "timeout: ${env:API_TOKEN}"),
    ("exporter", "compression: ${env:API_TOKEN}"),
    ("exporter", "compression: ${file:token}"),
    ("exporter", "headers: {x-any: '${env:LONG_PASSWORD}'}"),
    ("exporter", f"sending_queue: {{storage: 'https://me:{SECRET}@host:1'}}"),
    ("bearer", f"token: [{SECRET}]"),
    ("bearer", f"token: {{{SECRET}: 1}}"),
    ("bearer", f'token: "{SECRET}\\0"'),
    ("bearer", f"token: !!int {SECRET}"),
    ("bearer", f"token: !{SECRET} a"),
    ("bearer", f"token: *{SECRET}"),
    ("bearer", f"token: %{SECRET}"),
    ("bearer", f"token: @{SECRET}"),
    ("bearer", f"tokens: {SECRET}"),
    ("bearer", f"tokens: [{SECRET}, [a]]"),
    ("bearer", f"token: {SECRET}, filename: x"),
    ("basic", f"client_auth: {SECRET}"),
    ("basic", f"client_auth: {{username: 'me:{SECRET}', password: b}}"),
    ("basic", f"client_auth: {{username: me, password: [{SECRET}]}}"),
    ("basic", f"htpasswd: {SECRET}"),
    ("basic", f"htpasswd: {{inline: [{SECRET}]}}"),
]


@pytest.mark.parametrize(("part", "wrong"), WRONG)
def test_no_error_and_no_print_shows_it(
    part: str, wrong: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.yaml"
    (tmp_path / "token").write_text(SECRET)
    path.write_text(WHOLE % {**RIGHT, part: wrong}, "utf-8")
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as refused:
        load_config([path], ENVIRON)
    # said about the key of a mapping where none belongs, the secret is the key
    said = [str(problem) for problem in refused.value.problems]
    assert said
    for has_defaults in (False, True):
        with contextlib.suppress(ConfigError):
            said.append(to_yaml(printed(read_tree([path], ENVIRON), has_defaults=has_defaults)))
    out, err = capfd.readouterr()
    assert SECRET not in "\n".join([*said, str(refused.value), repr(refused.value), out, err, caplog.text])


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("name", ["x-any", "x any"])
def test_no_exporter_says_what_it_cannot_send(protocol: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A name that is no header's name: the libraries answer with all that they were given."""
    headers = {name: SECRET, "authorization": f"Bearer {SECRET}"}
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        block = {"endpoint": f"http://127.0.0.1:{somebody.getsockname()[1]}", "headers": headers, "timeout": "300ms",
                 "retry_on_failure": {"enabled": False}}  # fmt: skip
        config = (OtlpGrpcConfig if protocol == "grpc" else OtlpHttpConfig).model_validate(block)
        exporter = build_exporter(f"otlp_{protocol}", f"otlp_{protocol}", config)
        with caplog.at_level(logging.DEBUG, logger="bmad_otel"):
            exporter.start()
            assert exporter.offer(ExportRequest(Signal.TRACES, b"", 1))
            exporter.stop(10)
    assert exporter.counters()["failed_requests"] == 1
    assert "cannot deliver" in caplog.text
    assert SECRET not in caplog.text + exporter.trouble
