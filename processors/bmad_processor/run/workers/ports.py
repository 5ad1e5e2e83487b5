"""Holding ports that other processes of ours listen on."""

from __future__ import annotations

import socket

from bmad_processor.receive.listen import bind, release


class Reservation:
    """The port of ``endpoint``, taken at all of its addresses from construction to `release`. Raises StartError when
    anybody has it.

    Bound without SO_REUSEPORT first, which fails where somebody listens, also somebody who shares; then sharing is
    allowed to whoever asks for it, which the kernel grants to processes of this user. It never listens, so it gets no
    connection. Without SO_REUSEADDR from then on, a second collector fails here too while no worker listens yet.
    """

    def __init__(self, endpoint: str) -> None:
        self._sockets = bind(endpoint)
        for sock in self._sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host = endpoint.rpartition(":")[0]
        self.endpoint = f"{host}:{self._sockets[0].getsockname()[1]}"
        """Host as configured and the port, also where port 0 was asked for."""

    def release(self) -> None:
        """Safe to call twice."""
        release(self._sockets)
