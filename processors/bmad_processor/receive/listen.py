"""Where to listen: every address a host name stands for, or a socket file, and a clear error when one is taken."""

from __future__ import annotations

import contextlib
import errno
import socket
import stat
from pathlib import Path
from typing import Final

from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint

_UNAVAILABLE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""An address this machine does not have: `localhost` often names ::1 where IPv6 is off."""

_ATTEMPTS: Final = 5
"""A free port of the first address may be taken on the second; then another one is asked for."""

_CONNECT_TIMEOUT_S: Final = 1.0
"""A live listener takes a connection at once, or its queue is full, which says as much."""


def addresses(endpoint: str) -> list[tuple[socket.AddressFamily, str, int]]:
    """Family, numeric host and port of every address of ``endpoint``. Raises StartError for an unknown host."""
    host, port = split_endpoint(endpoint)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"cannot listen on {endpoint}: {error.strerror or error}") from error
    return list(dict.fromkeys((family, str(address[0]), port) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, host: str, port: int, *, reuse_port: bool) -> socket.socket:
    # with the protocol named asyncio turns Nagle's algorithm off; an answer's body would wait 40 ms behind its headers
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # SO_REUSEADDR lets a restart use the port while old connections are in TIME_WAIT; a listener still refuses it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def bind(endpoint: str, *, reuse_port: bool = False) -> list[socket.socket]:
    """One bound socket for every address of ``endpoint`` this machine has, all on the same port.

    With ``reuse_port`` other processes of this user that ask for it too may listen on the port as well.
    Raises StartError naming the address when one is taken or none can be bound.
    """
    found = addresses(endpoint)
    for attempt in range(_ATTEMPTS):
        sockets: list[socket.socket] = []
        problem: OSError | None = None
        for family, host, asked in found:
            port = asked or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets.append(_bind(family, host, port, reuse_port=reuse_port))
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


def clear_socket_file(path: str) -> None:
    """Removes a socket file that a listener left behind.

    Raises StartError when somebody listens there, or when it is anything but a socket.
    """
    file = Path(path)
    try:
        is_socket = stat.S_ISSOCK(file.lstat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"cannot listen on {path}: {error.strerror}") from error
    if not is_socket:
        raise StartError(f"cannot listen on {path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise StartError(f"cannot listen on {path}: {error.strerror or error}") from error
    raise StartError(f"cannot listen on {path}: the address is in use")


def bind_unix(path: str) -> list[socket.socket]:
    """A socket bound to the file ``path``, which is replaced when nobody listens there any more.

    Raises StartError naming the path.
    """
    clear_socket_file(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {path}: {error.strerror or error}") from error
    return [sock]


class SocketFile:
    """A socket file of ours, told from the one that somebody may have put in its place since."""

    def __init__(self, path: str) -> None:
        self._file = Path(path)
        self._made = self._identity()

    def remove(self) -> None:
        """After the end; who comes next does not have to wonder. Safe to call twice."""
        if self._made is not None and self._identity() == self._made:
            self._file.unlink(missing_ok=True)
        self._made = None

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            found = self._file.lstat()
            return found.st_dev, found.st_ino
        return None


def release(sockets: list[socket.socket]) -> None:
    """Close sockets that never served."""
    for sock in sockets:
        sock.close()
