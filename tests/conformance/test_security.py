"""G9 (TLS), G10, H22: who may ask."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from tests.edges.peers import eventually

from . import messages
from .clients import GrpcClient, HttpClient, grpc_client
from .conftest import Start
from .messages import JSON, PROTOBUF, unique
from .targets import Security, Server, Wish

TOKEN = "conformance-0123456789abcdef"
RELOAD_S = 0.2


@dataclass(frozen=True)
class Guarded:
    """A server with TLS, client certificates and a token, and what it takes to get in."""

    server: Server
    authority: trustme.CA
    certificate: trustme.LeafCert
    security: Security

    def credentials(self, *, with_certificate: bool = True) -> grpc.ChannelCredentials:
        root = self.authority.cert_pem.bytes()
        if not with_certificate:
            return grpc.ssl_channel_credentials(root)
        key = self.certificate.private_key_pem.bytes()
        chain = b"".join(blob.bytes() for blob in self.certificate.cert_chain_pems)
        return grpc.ssl_channel_credentials(root, key, chain)

    def context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if with_certificate:
            self.certificate.configure_cert(context)
        return context


def write_certificate(authority: trustme.CA, certificate: Path, key: Path) -> None:
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


@pytest.fixture(scope="module")
def guarded(start_for_session: Start, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    files = Security(folder / "cert.pem", folder / "key.pem", folder / "ca.pem", TOKEN)
    write_certificate(authority, files.certificate, files.key)
    authority.cert_pem.write_to_path(str(files.client_authority))
    server = start_for_session(Wish(security=files, reload_interval_s=RELOAD_S))
    return Guarded(server, authority, authority.issue_cert("client.example"), files)


@pytest.fixture
def secure(guarded: Guarded) -> Iterator[GrpcClient]:
    with grpc_client(guarded.server.grpc, credentials=guarded.credentials()) as client:
        yield client


BEARER = {"metadata": (("authorization", f"Bearer {TOKEN}"),)}


def test_g9_tls(guarded: Guarded, secure: GrpcClient) -> None:
    names = [unique("g9"), unique("g9")]
    reply = secure.export("traces", messages.body("traces", names[0]), **BEARER)
    assert reply.code is grpc.StatusCode.OK, reply
    web = HttpClient(guarded.server.http, context=guarded.context())
    web.post("traces", messages.body("traces", names[1]), authorization=f"Bearer {TOKEN}").response("traces")
    guarded.server.delivers(*names)


def test_g9_without_tls(guarded: Guarded) -> None:
    with grpc_client(guarded.server.grpc) as client:
        assert client.export("traces", b"", timeout_s=3, **BEARER).code is not grpc.StatusCode.OK
    answer = HttpClient(guarded.server.http).raw(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 200 ")


def test_g9_without_a_client_certificate(guarded: Guarded) -> None:
    credentials = guarded.credentials(with_certificate=False)
    with grpc_client(guarded.server.grpc, credentials=credentials) as client:
        assert client.export("traces", b"", timeout_s=3, **BEARER).code is not grpc.StatusCode.OK
    web = HttpClient(guarded.server.http, context=guarded.context(with_certificate=False))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        web.post("traces", b"", authorization=f"Bearer {TOKEN}")


METADATA = {
    "none": (),
    "another token": (("authorization", "Bearer another"),),
    "another scheme": (("authorization", f"Basic {TOKEN}"),),
    "a part of it": (("authorization", f"Bearer {TOKEN[:-1]}"),),
    "more than it": (("authorization", f"Bearer {TOKEN}x"),),
    "only the scheme": (("authorization", "Bearer"),),
}


@pytest.mark.parametrize("what", METADATA)
def test_g10_failed_authentication(secure: GrpcClient, what: str) -> None:
    reply = secure.export("traces", messages.body("traces", "x"), metadata=METADATA[what])
    assert reply.code is grpc.StatusCode.UNAUTHENTICATED, reply
    assert TOKEN not in reply.message


@pytest.mark.parametrize("what", METADATA)
def test_h22_failed_authentication(guarded: Guarded, what: str) -> None:
    web = HttpClient(guarded.server.http, context=guarded.context())
    reply = web.post("traces", messages.body("traces", "x"), **dict(METADATA[what]))
    assert reply.status == 401
    assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_h22_beyond_401_is_a_status_and_says_how(guarded: Guarded, content_type: str) -> None:
    web = HttpClient(guarded.server.http, context=guarded.context())
    reply = web.post("traces", b"", content_type)
    assert reply.refusal(content_type).code in (0, 16)
    assert "bearer" in reply.headers["www-authenticate"].lower()


@pytest.mark.faults
def test_g9_certificates_are_read_again(guarded: Guarded) -> None:
    """Last in this file: a new authority signs from here on, and the client trusts only that."""
    new = trustme.CA()
    write_certificate(new, guarded.security.certificate, guarded.security.key)
    context = ssl.create_default_context()
    new.configure_trust(context)
    guarded.certificate.configure_cert(context)

    def is_new() -> bool:
        try:
            HttpClient(guarded.server.http, context=context).post("traces", b"", authorization=f"Bearer {TOKEN}")
        except ssl.SSLError:
            return False
        key = guarded.certificate.private_key_pem.bytes()
        chain = b"".join(blob.bytes() for blob in guarded.certificate.cert_chain_pems)
        credentials = grpc.ssl_channel_credentials(new.cert_pem.bytes(), key, chain)
        with grpc_client(guarded.server.grpc, credentials=credentials) as client:
            return client.export("traces", b"", timeout_s=2, **BEARER).code is grpc.StatusCode.OK

    eventually(is_new, 15)
