"""Exporters over TLS: the given authority is trusted, others are not."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from bmad_processor.emit import OtlpGrpcConfig, OtlpHttpConfig, Transient
from bmad_processor.emit.otlp_grpc import GrpcSender
from bmad_processor.emit.otlp_http import HttpSender

from .peers import grpc_backend
from .test_otlp_exporters import REQUEST, outcome

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, self-signed."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_grpc(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    got: list[bytes] = []

    def answer(body: bytes, context: Any) -> bytes:
        got.append(body)
        return b""

    with grpc_backend(answer, credentials) as endpoint:
        assert outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, tls={"ca_file": str(cert)}))) == 0
        assert isinstance(outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, timeout="2s"))), Transient)
    assert got == [REQUEST.body]


def test_http(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(http.server.HTTPServer):
        def handle_error(self, *args: Any) -> None:
            pass  # the refused handshake

    with Quiet(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        assert outcome(HttpSender(OtlpHttpConfig(endpoint=url, tls={"ca_file": str(cert)}))) == 0
        assert isinstance(outcome(HttpSender(OtlpHttpConfig(endpoint=url))), Transient)
        server.shutdown()
