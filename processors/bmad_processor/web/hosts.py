"""Refusing requests for names that are not ours.

A page in a browser may point a name of its own at 127.0.0.1 and then read a local API as if it were its own site (DNS
rebinding). Such requests carry the foreign name in their Host header.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from .json_response import FiniteJsonResponse


class HostCheck:
    """Lets through requests for literal IP addresses, names without a dot and ``allowed`` names.

    A name without a dot (``localhost``, a container's name) belongs to this machine or network: nobody can register it
    and serve a page under it.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = {name.lower().rstrip(".") for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 421 (misdirected request) to any other name."""
        if scope["type"] != "http" or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        body = {
            "error": "foreign_host",
            "detail": "the Host header names neither this host nor an IP address",
            "suggestions": ["localhost"],
        }
        await FiniteJsonResponse(body, status_code=421)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        names = [value for key, value in scope["headers"] if key == b"host"]
        if len(names) != 1:
            return False
        name = host_of(names[0].decode("latin-1"))
        return name != "" and (("." not in name and ":" not in name) or name in self._allowed or is_address(name))


def host_of(header: str) -> str:
    """The host of a Host header without its port and brackets, in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def is_address(name: str) -> bool:
    """Whether ``name`` is a literal IP address: nobody can point that anywhere else."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
