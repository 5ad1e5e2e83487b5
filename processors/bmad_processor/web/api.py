"""The ASGI application of ``/api/v1``: JSON only, and read-only but for profiles.

``/api/performance`` is what BMAD's dashboard asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bmad_processor.errors import ConfigError, ProfileError, StoreError, Unanswerable
from bmad_processor.export.families import Family
from bmad_processor.read_model import ReadModel, answer
from bmad_processor.security import Authenticator
from bmad_processor.self_telemetry import Health

from .auth import AuthCheck
from .hosts import HostCheck
from .json_response import FiniteJsonResponse
from .own import own_routes
from .profiles import PutProfile, profile_routes

logger = logging.getLogger(__name__)


def build_api(
    read_model: ReadModel,
    status: Callable[[], dict[str, Any]],
    *,
    allowed_hosts: Iterable[str] = (),
    put_profile: PutProfile | None = None,
    health: Callable[[], Health] | None = None,
    families: Callable[[], Iterable[Family]] | None = None,
    authenticator: Authenticator | None = None,
) -> ASGIApp:
    """The application. ``status`` gives the collector's own numbers (called in a worker thread, at any time).

    ``allowed_hosts`` are host names, beside ``localhost``, names without a dot and literal addresses, under which the
    API may be asked for, such as the host of the endpoint it listens on. ``put_profile`` changes profiles (called in a
    worker thread); without it they can only be read. ``health`` (takes no lock) and ``families`` are what the collector
    says about itself. ``authenticator`` is asked about every request but probes. The application needs no lifespan.
    """

    # plain functions: starlette runs them in worker threads, so a slow disk never holds up the event loop
    def ask(request: Request) -> Response:
        return FiniteJsonResponse(answer(read_model, request.path_params["path"], dict(request.query_params)))

    def show_dashboard(request: Request) -> Response:
        # the dashboard of BMAD asks here, with whatever it puts behind the path
        del request
        return FiniteJsonResponse(answer(read_model, "performance", {}))

    def tell_status(request: Request) -> Response:
        del request
        return FiniteJsonResponse(status())

    async def is_alive(request: Request) -> Response:
        # says only that the process serves requests; a full disk must not get a collector killed that still forwards
        del request
        return FiniteJsonResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/healthz", is_alive),
            *own_routes(health, families, lambda: read_model.export(with_history=False)),
            Route("/api/v1/status", tell_status),
            *profile_routes(put_profile),
            Route("/api/performance", show_dashboard),
            Route("/api/v1/{path:path}", ask),
        ],
        middleware=[
            Middleware(HostCheck, allowed=tuple(allowed_hosts)),
            *([] if authenticator is None else [Middleware(AuthCheck, authenticator)]),
        ],
        exception_handlers={
            Unanswerable: _unanswerable,
            ConfigError: _wrong_profile,
            ProfileError: _not_kept,
            StoreError: _no_store,
            HTTPException: _http_error,
            Exception: _our_fault,
        },
    )


def _error(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    return FiniteJsonResponse({"error": code, "detail": detail, "suggestions": []}, status, headers)


async def _unanswerable(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Unanswerable)
    return FiniteJsonResponse(error.to_dict(), error.status)


async def _wrong_profile(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, ConfigError)
    body = {"error": "invalid_profile", "detail": str(error), "suggestions": []}
    return FiniteJsonResponse(body | {"problems": [asdict(problem) for problem in error.problems]}, 422)


async def _not_kept(request: Request, error: Exception) -> Response:
    del request
    return _error(409, "cannot_persist", str(error))


async def _no_store(request: Request, error: Exception) -> Response:
    del request
    return _error(503, "no_store", str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _error(404, "not_found", f"there is no {request.url.path}")
    if error.status_code == 405:
        if (error.headers or {}).get("Allow") == "PUT":
            return _error(405, "method_not_allowed", "use GET or PUT", {"Allow": "GET, HEAD, PUT"})
        return _error(405, "method_not_allowed", "the API only reads: use GET", {"Allow": "GET, HEAD"})
    return _error(error.status_code, "http_error", error.detail)


async def _our_fault(request: Request, error: Exception) -> Response:
    # starlette re-raises it after the answer, and the server logs it with its stack
    del error
    return _error(500, "internal_error", f"{request.url.path} could not be answered; the collector's log says why")
