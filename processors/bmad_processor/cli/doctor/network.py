"""A server as the network sees it: its name, its port, its certificate. Nothing here knows of OTLP."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]

_MAX_ADDRESSES: Final = 8
"""Addresses of one name that are tried."""


_SETTINGS: Final = 4
_FRAME_HEAD: Final = 9
_HTTP2_BEGIN: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0))
"""RFC 9113, 3.4: the client's preface and its empty SETTINGS; a server, too, begins with SETTINGS."""


class Unreachable(Exception):
    """Not reached; the message says why, ``reason`` is one word for it."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def resolve(server: str, port: int, timeout_s: float) -> list[Address]:
    """The addresses of a name, in the order they are tried. Raises Unreachable."""
    found: list[Address] = []
    errors: list[str] = []

    def look_up() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(server, port, type=socket.SOCK_STREAM):
                if family in (socket.AF_INET, socket.AF_INET6):
                    found.append((family, address))  # type: ignore[arg-type]  # of these families they are such tuples
        except (OSError, UnicodeError) as error:
            errors.append(getattr(error, "strerror", None) or str(error))

    # on a thread: looking a name up takes no timeout
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise Unreachable("timeout", f"the name service did not answer within {timeout_s:g} s")
    if errors or not found:
        raise Unreachable("unknown_name", errors[0] if errors else "no address")
    return found[:_MAX_ADDRESSES]


@dataclass(frozen=True, slots=True)
class Reached:
    """The address that took a connection, how long that took, and what became of those tried before."""

    address: Address
    took_s: float
    failed: tuple[str, ...]


def connect(addresses: Sequence[Address], timeout_s: float) -> Reached:
    """Connect to the first address that accepts. Raises Unreachable when none does; all have ``timeout_s`` together."""
    deadline_s = time.monotonic() + timeout_s
    failed: list[tuple[str, str]] = []
    for address in addresses:
        started_s = time.monotonic()
        try:
            with _open(address, max(0.1, deadline_s - started_s)):
                told = tuple(f"{host}: {why}" for host, why in failed)
                return Reached(address, time.monotonic() - started_s, told)
        except TimeoutError:
            failed.append((address[1][0], "no answer"))
        except OSError as error:
            failed.append((address[1][0], error.strerror or str(error)))
    is_timeout = any(why == "no answer" for _, why in failed)
    message = "; ".join(f"{host}: {why}" for host, why in failed)
    raise Unreachable("timeout" if is_timeout else "refused", message)


@dataclass(frozen=True, slots=True)
class Tls:
    """A finished handshake: the version, the protocol agreed on by ALPN if any, and when the certificate ends."""

    version: str
    alpn: str | None
    expires_s: float | None


def handshake(
    address: Address,
    server: str,
    timeout_s: float,
    *,
    alpn: str,
    certificate: str | None = None,
    client: tuple[str, str | None] | None = None,
    is_verified: bool = True,
) -> Tls:
    """Shake hands as a client of ``server`` that trusts ``certificate``, or else what this machine trusts.

    ``client`` is the client's own certificate and key. Raises ssl.SSLError (of which a certificate that is not trusted
    is a kind) or another OSError, TimeoutError among them.
    """
    context = ssl.create_default_context(cafile=certificate)
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(*client)
    context.set_alpn_protocols([alpn])
    with _open(address, timeout_s) as plain, context.wrap_socket(plain, server_hostname=server) as secure:
        ends = (secure.getpeercert() or {}).get("notAfter")
        expires_s = ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None
        return Tls(secure.version() or "", secure.selected_alpn_protocol(), expires_s)


def speaks_http2(address: Address, timeout_s: float) -> bool:
    """Whether the server begins HTTP/2 on a connection without TLS, as every gRPC server does."""
    try:
        with _open(address, timeout_s) as connection:
            connection.sendall(_HTTP2_BEGIN)
            head = b""
            while len(head) < _FRAME_HEAD and (more := connection.recv(_FRAME_HEAD - len(head))):
                head += more
    except OSError:
        return False
    return len(head) == _FRAME_HEAD and head[3] == _SETTINGS


def _open(address: Address, timeout_s: float) -> socket.socket:
    family, where = address
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(where)
    except BaseException:
        connection.close()
        raise
    return connection
