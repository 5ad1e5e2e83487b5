"""TLS of the receivers: the right ones connect, others do not, and files that change are followed."""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bmad_processor.errors import StartError
from bmad_processor.receive import GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver
from bmad_processor.security import ServerTls, ServerTlsConfig
from tests.edges.peers import Recorder, eventually

from .certificates import Place, listening

both = pytest.mark.parametrize("protocol", ["grpc", "http"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Place:
    (tmp_path / "stranger").mkdir()
    return Place(tmp_path / "stranger")


@both
def test_tls(protocol: str, place: Place, stranger: Place) -> None:
    consumer = Recorder()
    with listening(protocol, consumer, tls=place.server()) as receiver:
        assert receiver.send(place.ca.read_bytes()) == "ok"
        assert receiver.send(stranger.ca.read_bytes()) == "refused"
        assert receiver.send(None) == "refused"
    assert len(consumer.got) == 1


@both
def test_mtls(protocol: str, place: Place, stranger: Place) -> None:
    consumer = Recorder()
    with listening(protocol, consumer, tls=place.server(client_ca_file=str(place.ca))) as receiver:
        ca = place.ca.read_bytes()
        assert receiver.send(ca, client=place) == "ok"
        assert receiver.send(ca) == "refused"
        assert receiver.send(ca, client=stranger) == "refused"
        assert receiver.send(ca, client=place) == "ok"
    assert len(consumer.got) == 2


@both
def test_new_files_are_used_and_broken_ones_are_not(
    protocol: str, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    tls = place.server(client_ca_file=str(place.ca), reload_interval="1ms")
    with listening(protocol, Recorder(), tls=tls) as receiver:
        old = place.ca.read_bytes()
        old_client = (place.client_cert.read_bytes(), place.client_key.read_bytes())
        assert receiver.send(old, client=place) == "ok"
        good = place.cert.read_bytes()
        with caplog.at_level(logging.ERROR):
            place.cert.write_text("no certificate at all")
            assert receiver.send(old, client=place) == "ok"
            assert receiver.send(old, client=place) == "ok"
        (said,) = [record.getMessage() for record in caplog.records]
        assert "stays" in said
        assert str(place.cert) in said
        place.cert.write_bytes(good)
        place.renew()
        new = place.ca.read_bytes()
        eventually(lambda: receiver.send(new, client=place) == "ok")
        assert receiver.send(old, client=place) == "refused"
        # whom only the old authority knew is not let in any more
        place.client_cert.write_bytes(old_client[0])
        place.client_key.write_bytes(old_client[1])
        assert receiver.send(new, client=place) == "refused"


@both
def test_without_an_interval_files_are_read_once(protocol: str, place: Place) -> None:
    with listening(protocol, Recorder(), tls=place.server()) as receiver:
        old = place.ca.read_bytes()
        place.renew()
        assert receiver.send(old) == "ok"


def test_a_taken_away_authority_ends_sessions_too(place: Place) -> None:
    """A client that resumes its session shows no certificate; its session must not outlive the authority."""
    with listening("http", Recorder(),
                   tls=place.server(client_ca_file=str(place.ca), reload_interval="1ms")) as receiver:  # fmt: skip
        host, port = receiver.endpoint.split(":")
        client = ssl.create_default_context(cafile=str(place.ca))
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.load_cert_chain(place.client_cert, place.client_key)

        def shake(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
            with socket.create_connection((host, int(port)), timeout=10) as raw, client.wrap_socket(
                raw, server_hostname="127.0.0.1", session=session
            ) as wrapped:  # fmt: skip
                return wrapped.session, wrapped.session_reused

        session, _ = shake(None)
        assert shake(session)[1], "sessions are resumed"
        other = place.folder / "other"
        other.mkdir()
        Place(other).ca.replace(place.ca)  # another authority for clients, the same certificate
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed"):
            shake(session)


@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
@pytest.mark.parametrize("what", ["cert_file", "key_file", "client_ca_file", "no key", "encrypted key"])
def test_what_cannot_be_used_is_a_start_error(kind: type, what: str, place: Place) -> None:
    block = place.server(client_ca_file=str(place.ca))
    if what == "no key":
        place.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    elif what == "encrypted key":
        key = load_pem_private_key(place.key.read_bytes(), None)
        encryption = BestAvailableEncryption(b"secret")
        place.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    else:
        block[what] = str(place.folder / "missing.pem")
    config = GrpcConfig if kind is GrpcReceiver else HttpConfig
    with pytest.raises(StartError, match=r"TLS certificate .*pem"):
        kind(config(endpoint="127.0.0.1:0", tls=block), Recorder())


def test_lowest_version(place: Place) -> None:
    with listening("http", Recorder(), tls=place.server(min_version="1.3")) as receiver:
        host, port = receiver.endpoint.split(":")
        client = ssl.create_default_context(cafile=str(place.ca))
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection((host, int(port)), timeout=10) as raw,
            pytest.raises(OSError, match=r"(?i)version|eof|reset"),
        ):
            client.wrap_socket(raw, server_hostname="127.0.0.1")
        assert receiver.send(place.ca.read_bytes()) == "ok"


def test_files_are_looked_at_no_oftener_than_asked_for(place: Place) -> None:
    tls = ServerTls(ServerTlsConfig(**place.server(reload_interval="1h")))
    before = tls.context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True).context
    place.renew()
    assert tls.context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True).context is before
