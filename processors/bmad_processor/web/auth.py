"""Who may ask the API."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from bmad_processor.errors import Overloaded, Unauthenticated
from bmad_processor.security import Authenticator, Guard

from .json_response import FiniteJsonResponse

OPEN_PATHS: Final = frozenset({"/healthz", "/health/live", "/health/ready"})
"""Answered to everybody: they tell only how the collector is, and probes have no credentials."""


class AuthCheck:
    """Lets through requests that ``authenticator`` believes; the others get 401 before anything of them is read."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._guard = Guard(authenticator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                await self._admit(scope)
            except Unauthenticated as refusal:
                body = {"error": "unauthenticated", "detail": str(refusal), "suggestions": []}
                answer = FiniteJsonResponse(body, 401, {"WWW-Authenticate": refusal.challenge})
                await answer(scope, receive, send)
                return
            except Overloaded as refusal:
                body = {"error": "overloaded", "detail": str(refusal), "suggestions": []}
                answer = FiniteJsonResponse(body, 503, {"Retry-After": str(round(refusal.retry_after_s))})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        name = self._guard.header.encode()
        value = next((v.decode("latin-1") for k, v in scope["headers"] if k == name), None)
        future = self._guard.admit(value)
        if future is not None and not await asyncio.wrap_future(future):
            raise self._guard.refusal()
