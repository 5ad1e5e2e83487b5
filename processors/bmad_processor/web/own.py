"""What the collector says about itself: ``/metrics`` for Prometheus and ``/health/...`` for orchestrators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bmad_processor.export.families import Family, families
from bmad_processor.self_telemetry import Health, scraped

from .json_response import FiniteJsonResponse


def own_routes(
    health: Callable[[], Health] | None,
    own: Callable[[], Iterable[Family]] | None,
    document: Callable[[], dict[str, Any]],
) -> list[Route]:
    """``own`` are the collector's metrics (called in a worker thread), ``document`` everything known of agents."""

    def metrics(request: Request) -> Response:
        found = [] if own is None else list(own())
        if request.query_params.get("agents", "true") != "false":
            found += families(document())
        body, content_type = scraped(found, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def live(request: Request) -> Response:
        del request
        return FiniteJsonResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        del request
        now = Health() if health is None else health()
        return FiniteJsonResponse({"status": "ok" if now.is_ready else "not ready", **now.to_dict()},
                                  200 if now.is_ready else 503)  # fmt: skip

    return [Route("/metrics", metrics), Route("/health/live", live), Route("/health/ready", ready)]
