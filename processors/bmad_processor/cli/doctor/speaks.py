"""Which protocol does a port speak? Asked with empty OTLP requests, as they differ on the wire."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from .network import Address, handshake

if TYPE_CHECKING:
    from bmad_otel._delivery.answers import Answer
    from bmad_otel._delivery.target import Target
    from bmad_otel._settings import Protocol

SIBLINGS: Final = {4317: 4318, 4318: 4317}
"""The registered ports of OTLP: what is not at the one is often at the other."""

PROTOCOL_NAMES: Final[dict[Protocol, str]] = {"grpc": "gRPC", "http/protobuf": "OTLP/HTTP"}
OTHER: Final[dict[Protocol, Protocol]] = {"grpc": "http/protobuf", "http/protobuf": "grpc"}

_MAX_ANSWER_BYTES: Final = 65_536

_GRPC_ALPN: Final = "h2"
_HTTP_ALPN: Final = "http/1.1"

_GRPC_CODES: Final = frozenset(
    {"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND"}
)
"""Codes that only a server which speaks gRPC gives; the others a client gives itself when it gets nowhere."""

_OTLP_TYPES: Final = ("application/x-protobuf", "application/protobuf", "application/json")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The head of an HTTP answer to an empty OTLP request."""

    status: int
    reason: str
    content_type: str
    server: str
    location: str
    body: bytes

    @property
    def is_otlp(self) -> bool:
        """Whether a receiver of OTLP would answer so: in one of its content types, or with nothing at all."""
        if self.content_type in _OTLP_TYPES:
            return self.status not in (404, 405, 501)
        return 200 <= self.status < 300 and not self.body and not self.content_type


def ask_http(target: Target, timeout_s: float) -> HttpAnswer | None:
    """What an HTTP server says to an empty request of the target's signal; None when nothing there speaks HTTP."""
    url = urlsplit(target.address)
    host = url.hostname or target.server
    connection: http.client.HTTPConnection
    if target.is_secure:
        # whether the certificate is trusted is asked elsewhere; here it is only about the protocol
        context = ssl._create_unverified_context()  # noqa: S323 - no data and no credentials are sent
        connection = http.client.HTTPSConnection(host, url.port or target.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, url.port or target.port, timeout=timeout_s)
    try:
        connection.request("POST", url.path or "/", b"", {"Content-Type": _OTLP_TYPES[0]})
        response = connection.getresponse()
        body = response.read(_MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return HttpAnswer(
        status=response.status,
        reason=response.reason,
        content_type=(response.getheader("Content-Type") or "").partition(";")[0].strip().lower(),
        server=response.getheader("Server") or "",
        location=response.getheader("Location") or "",
        body=body,
    )


def send(target: Target, timeout_s: float) -> Answer:
    """Send an empty request as the SDK would."""
    # imported here: gRPC is for those who ask
    if target.protocol == "grpc":
        from bmad_otel._delivery.grpc_transport import GrpcTransport

        grpc = GrpcTransport(target)
        try:
            return grpc.send(b"", timeout_s)
        finally:
            grpc.stop()
    from bmad_otel._delivery.http_transport import HttpTransport

    http_transport = HttpTransport(target)
    try:
        return http_transport.send(b"", timeout_s)
    finally:
        http_transport.stop()


def with_protocol(target: Target, protocol: Protocol, *, is_secure: bool, port: int | None = None) -> Target:
    """The same server, spoken to otherwise, and without credentials."""
    port = port or target.port
    server = f"[{target.server}]" if ":" in target.server else target.server
    scheme = "https" if is_secure else "http"
    path = "" if protocol == "grpc" else f"/v1/{target.signal}"
    url = f"{scheme}://{server}:{port}{path}"
    address = f"{server}:{port}" if protocol == "grpc" else url
    return replace(target, protocol=protocol, is_secure=is_secure, port=port, address=address, endpoint=url, headers=())


def speaks(target: Target, protocol: Protocol, timeout_s: float, *, port: int | None = None) -> bool:
    """Whether the server takes OTLP in this protocol, be it without the credentials it wants."""
    other = with_protocol(target, protocol, is_secure=target.is_secure, port=port)
    if protocol == "http/protobuf":
        answer = ask_http(other, timeout_s)
        return answer is not None and answer.is_otlp
    from bmad_otel._delivery.answers import Taken

    sent = send(other, timeout_s)
    if isinstance(sent, Taken):
        return True
    # an HTTP/2 server that knows no gRPC is recognised by gRPC's own words for what it said
    return sent.error_type in _GRPC_CODES and "http2 header with status" not in sent.message


def speaks_tls(address: Address, server: str, timeout_s: float) -> bool:
    """Whether a TLS handshake is answered, by whatever certificate."""
    try:
        handshake(address, server, timeout_s, alpn=_GRPC_ALPN, is_verified=False)
    except ssl.SSLError as error:
        # an alert is an answer, too: the server speaks TLS, but wants something else, such as our certificate
        return "alert" in str(error).lower()
    except OSError:
        return False
    return True


def alpn_of(protocol: Protocol) -> str:
    """What a client of this protocol offers in the handshake."""
    return _GRPC_ALPN if protocol == "grpc" else _HTTP_ALPN
