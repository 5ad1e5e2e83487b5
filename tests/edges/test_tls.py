"""Exporters over TLS: whom they trust, what they show, and that new files are taken up while they run."""

from __future__ import annotations

import http.server
import shutil
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from bmad_processor.emit import OtlpGrpcConfig, OtlpHttpConfig, Transient
from bmad_processor.emit.otlp_grpc import GrpcSender
from bmad_processor.emit.otlp_http import HttpSender
from bmad_processor.errors import StartError

from .peers import grpc_backend
from .test_otlp_exporters import REQUEST, outcome


@dataclass(frozen=True)
class Tls:
    """Certificates and keys of a server and of a client, and the authority that signed them."""

    authority: Path
    certificate: Path
    key: Path
    elsewhere: Path
    """A certificate of another name, its key in the same file."""
    client: Path
    client_key: Path

    @property
    def shown(self) -> dict[str, str]:
        """What a client has to be configured with."""
        return {"ca_file": str(self.authority), "cert_file": str(self.client), "key_file": str(self.client_key)}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority of our own and a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    names = ("ca", "cert", "key", "elsewhere", "client", "client-key")
    made = Tls(*[folder / f"{name}.pem" for name in names])
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    for certificate, key, name in (
        (made.certificate, made.key, "127.0.0.1"),
        (made.client, made.client_key, "collector.example"),
    ):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(key)
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.issue_cert("backend.example").private_key_and_cert_chain_pem.write_to_path(made.elsewhere)
    return made


def answer(body: bytes, context: Any) -> bytes:
    return b""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


class _Quiet(http.server.HTTPServer):
    def handle_error(self, *args: Any) -> None:
        pass  # the refused handshake


@contextmanager
def https_backend(
    certificate: Path, key: Path | None = None, *, authority: Path | None = None, newest: ssl.TLSVersion | None = None
) -> Iterator[str]:
    """``authority``: who must have signed what clients show."""
    with _Quiet(("127.0.0.1", 0), _Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if authority is not None:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
        if newest is not None:
            context.maximum_version = newest
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def by_http(url: str, **tls: Any) -> Any:
    return outcome(HttpSender(OtlpHttpConfig(endpoint=url, tls=tls)))


def by_grpc(endpoint: str, **tls: Any) -> Any:
    return outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, tls=tls, timeout="2s")))


def test_grpc_trusts_the_given_authority_and_no_other(tls: Tls) -> None:
    credentials = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
    got: list[bytes] = []

    def note(body: bytes, context: Any) -> bytes:
        got.append(body)
        return b""

    with grpc_backend(note, credentials) as endpoint:
        assert by_grpc(endpoint, ca_file=str(tls.authority)) == 0
        assert isinstance(by_grpc(endpoint), Transient)
    assert got == [REQUEST.body]


def test_http_trusts_the_given_authority_and_no_other(tls: Tls) -> None:
    with https_backend(tls.certificate, tls.key) as url:
        assert by_http(url, ca_file=str(tls.authority)) == 0
        assert isinstance(by_http(url), Transient)
        assert by_http(url, insecure_skip_verify=True) == 0


def test_a_certificate_is_shown_to_who_asks_for_one(tls: Tls) -> None:
    server = [(tls.key.read_bytes(), tls.certificate.read_bytes())]
    credentials = grpc.ssl_server_credentials(server, tls.authority.read_bytes(), require_client_auth=True)
    with grpc_backend(answer, credentials) as endpoint:
        assert by_grpc(endpoint, **tls.shown) == 0
        assert isinstance(by_grpc(endpoint, ca_file=str(tls.authority)), Transient)
    with https_backend(tls.certificate, tls.key, authority=tls.authority) as url:
        assert by_http(url, **tls.shown) == 0
        assert isinstance(by_http(url, ca_file=str(tls.authority)), Transient)


def test_the_name_in_the_certificate_can_be_another(tls: Tls) -> None:
    other = {"ca_file": str(tls.authority), "server_name_override": "backend.example"}
    pem = tls.elsewhere.read_bytes()
    with grpc_backend(answer, grpc.ssl_server_credentials([(pem, pem)])) as endpoint:
        assert by_grpc(endpoint, **other) == 0
        assert isinstance(by_grpc(endpoint, ca_file=str(tls.authority)), Transient)
    with https_backend(tls.elsewhere) as url:
        assert by_http(url, **other) == 0
        assert isinstance(by_http(url, ca_file=str(tls.authority)), Transient)


def test_an_old_version_is_not_spoken(tls: Tls) -> None:
    with https_backend(tls.certificate, tls.key, newest=ssl.TLSVersion.TLSv1_2) as url:
        assert by_http(url, ca_file=str(tls.authority)) == 0
        assert isinstance(by_http(url, ca_file=str(tls.authority), min_version="1.3"), Transient)


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_new_files_are_taken_up(tls: Tls, tmp_path: Path, transport: str) -> None:
    wrong = trustme.CA()
    authority = tmp_path / "ca.pem"
    wrong.cert_pem.write_to_path(authority)
    now_s = 0.0
    config: Any = {"ca_file": str(authority), "reload_interval": "10s"}
    credentials = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
    with grpc_backend(answer, credentials) as endpoint, https_backend(tls.certificate, tls.key) as url:
        sender: Any = (
            GrpcSender(OtlpGrpcConfig(endpoint=endpoint, tls=config, timeout="2s"), clock=lambda: now_s)
            if transport == "grpc"
            else HttpSender(OtlpHttpConfig(endpoint=url, tls=config), clock=lambda: now_s)
        )
        sender.open()
        with pytest.raises(Transient):
            sender.send(REQUEST)
        shutil.copy(tls.authority, authority)
        with pytest.raises(Transient):
            sender.send(REQUEST)
        now_s = 11.0
        assert sender.send(REQUEST) == 0
        authority.unlink()
        now_s = 22.0
        with pytest.raises(Transient, match=r"ca\.pem"):
            sender.send(REQUEST)
        assert sender.send(REQUEST) == 0, "the old files still do"
        sender.close()


def test_unreadable_files_are_start_errors(tls: Tls, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for key in ("/no/such.pem", str(empty)):
        with pytest.raises(StartError, match="TLS files"):
            HttpSender(OtlpHttpConfig(endpoint="https://x", tls={"cert_file": str(tls.client), "key_file": key})).open()
    with pytest.raises(StartError, match=r"cannot read key_file /no/such\.pem"):
        GrpcSender(
            OtlpGrpcConfig(endpoint="x:1", tls={"cert_file": str(tls.client), "key_file": "/no/such.pem"})
        ).open()
