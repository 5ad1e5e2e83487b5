"""Authorities and certificates on disk, and listeners that use them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import trustme

from bmad_processor.model import Signal
from bmad_processor.receive import GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver
from bmad_processor.security import Authenticator
from tests.edges.peers import PATHS, Recorder

TRACES = PATHS[Signal.TRACES]
PB = {"content-type": "application/x-protobuf"}


class Place:
    """A folder with what a server and a client need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self.client_cert, self.client_key = folder / "client.pem", folder / "client-key.pem"
        self.renew()

    def renew(self) -> trustme.CA:
        """A new authority and a new certificate of 127.0.0.1 in the same files."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.ca)
        issued.private_key_pem.write_to_path(self.key)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        client = authority.issue_cert("agent@example.org")
        client.private_key_pem.write_to_path(self.client_key)
        self.client_cert.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
        return authority

    def server(self, **more: Any) -> dict[str, Any]:
        """The `tls` block of a listener."""
        return {"cert_file": str(self.cert), "key_file": str(self.key), **more}


class Listening:
    """One receiver of either protocol, and a way to send it a request."""

    def __init__(self, protocol: str, endpoint: str) -> None:
        self.protocol = protocol
        self.endpoint = endpoint

    def send(
        self, ca: bytes | None, *, client: Place | None = None, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> str:
        """Over a new connection: ``ok``, ``unauthenticated``, or ``refused`` when there was no connection."""
        if self.protocol == "grpc":
            return self._send_grpc(ca, client, headers or {}, body)
        return self._send_http(ca, client, headers or {}, body)

    def _send_grpc(self, ca: bytes | None, client: Place | None, headers: dict[str, str], body: bytes) -> str:
        # sessions are not shared between channels, so each shakes hands anew
        options = [("grpc.use_local_subchannel_pool", 1)]
        if ca is None:
            channel = grpc.insecure_channel(self.endpoint, options)
        else:
            own = (client.client_key.read_bytes(), client.client_cert.read_bytes()) if client else (None, None)
            channel = grpc.secure_channel(self.endpoint, grpc.ssl_channel_credentials(ca, *own), options)
        with channel:
            try:
                channel.unary_unary(TRACES)(body, timeout=10, metadata=tuple(headers.items()))
            except grpc.RpcError as error:
                code = error.code()  # type: ignore[attr-defined] # it is a grpc.Call too
                return {"UNAUTHENTICATED": "unauthenticated", "UNAVAILABLE": "refused"}[code.name]
        return "ok"

    def _send_http(self, ca: bytes | None, client: Place | None, headers: dict[str, str], body: bytes) -> str:

        context = None
        if ca is not None:
            context = ssl.create_default_context(cadata=ca.decode())
            if client is not None:
                context.load_cert_chain(client.client_cert, client.client_key)
        scheme = "http" if context is None else "https"
        try:
            with httpx2.Client(verify=context or True) as http:
                response = http.post(f"{scheme}://{self.endpoint}/v1/traces", content=body, headers=PB | headers)
        except httpx2.TransportError:
            return "refused"
        return {200: "ok", 401: "unauthenticated"}[response.status_code]


@contextmanager
def listening(
    protocol: str, consumer: Recorder, *, authenticator: Authenticator | None = None, **options: Any
) -> Iterator[Listening]:
    """A receiver with ``options`` at a free port."""
    receiver: GrpcReceiver | HttpReceiver
    options = {"endpoint": "127.0.0.1:0", **options}
    if protocol == "grpc":
        receiver = GrpcReceiver(GrpcConfig(**options), consumer, authenticator=authenticator)
    else:
        receiver = HttpReceiver(HttpConfig(**options), consumer, authenticator=authenticator)
    receiver.start()
    try:
        yield Listening(protocol, receiver.endpoint)
    finally:
        receiver.stop(2)
