"""Exporters over TLS: the given authority is trusted, others are not."""

from __future__ import annotations

import http.server
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from bmad_processor.emit import OtlpGrpcConfig, OtlpHttpConfig, Transient
from bmad_processor.emit.otlp_grpc import GrpcSender
from bmad_processor.emit.otlp_http import HttpSender

from .peers import grpc_backend
from .test_otlp_exporters import REQUEST, outcome


@dataclass(frozen=True)
class Tls:
    """A server's certificate and key, and the authority that signed it."""

    authority: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority of our own and a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    made = Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(made.key)
    made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return made


def test_grpc(tls: Tls) -> None:
    credentials = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
    got: list[bytes] = []

    def answer(body: bytes, context: Any) -> bytes:
        got.append(body)
        return b""

    with grpc_backend(answer, credentials) as endpoint:
        assert outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, tls={"ca_file": str(tls.authority)}))) == 0
        assert isinstance(outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, timeout="2s"))), Transient)
    assert got == [REQUEST.body]


def test_http(tls: Tls) -> None:
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
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        assert outcome(HttpSender(OtlpHttpConfig(endpoint=url, tls={"ca_file": str(tls.authority)}))) == 0
        assert isinstance(outcome(HttpSender(OtlpHttpConfig(endpoint=url))), Transient)
        server.shutdown()
