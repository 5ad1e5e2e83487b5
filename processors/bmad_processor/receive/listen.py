"""Addresses to listen on: every address a host name stands for, and a clear error when one of them is taken."""

from __future__ import annotations

import errno
import socket
from typing import Final

from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint

_UNAVAILABLE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""An address this machine does not have: `localhost` often names ::1 where IPv6 is off."""

_ATTEMPTS: Final = 5
"""A free port of the first address may be taken on the second; then another one is asked for."""


def addresses(endpoint: str) -> list[tuple[socket.AddressFamily, str, int]]:
    """Family, numeric host and port of every address of ``endpoint``. Raises StartError for an unknown host."""
    host, port = split_endpoint(endpoint)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"cannot listen on {endpoint}: {error.strerror or error}") from error
    return list(dict.fromkeys((family, str(address[0]), port) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # with the protocol named, asyncio turns Nagle's algorithm off; without, a body written after its headers waits for
    # the client's delayed acknowledgement, 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # SO_REUSEADDR lets a restart use the port while old connections are in TIME_WAIT; a listener still refuses it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def bind(endpoint: str) -> list[socket.socket]:
    """One bound socket for every address of ``endpoint`` this machine has, all on the same port.

    Raises StartError naming the address when one is taken or none can be bound.
    """
    found = addresses(endpoint)
    for attempt in range(_ATTEMPTS):
        sockets: list[socket.socket] = []
        problem: OSError | None = None
        for family, host, asked in found:
            port = asked or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets.append(_bind(family, host, port))
            except OSError as error:
                if error.errno in _UNAVAILABLE:
                    problem = problem or error
                    continue
                for sock in sockets:
                    sock.close()
                sockets, problem = [], error
                if not asked and attempt + 1 < _ATTEMPTS:
                    break
                raise StartError(f"cannot listen on {endpoint}: {error.strerror}") from error
        if sockets:
            return sockets
        if problem is not None and problem.errno in _UNAVAILABLE:
            break
    raise StartError(f"cannot listen on {endpoint}: no address of this host can be used")


def release(sockets: list[socket.socket]) -> None:
    """Close sockets that never served."""
    for sock in sockets:
        sock.close()
