"""Small pages that are answered from a server of their own: metrics for Prometheus, and health."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

from bmad_processor.self_telemetry import Health, HealthCheckConfig

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = Callable[[str], tuple[int, bytes, str]]
"""The Accept header to status, body and content type."""

_JSON: Final = "application/json"


class Pages:
    """An ASGI application of a few paths that are read."""

    def __init__(self, pages: dict[str, Page], *, in_thread: bool) -> None:
        self._pages = pages
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET and HEAD of a known path."""
        del receive
        if scope["type"] != "http":
            raise RuntimeError(f"not an HTTP connection: {scope['type']}")
        page = self._pages.get(scope["path"].rstrip("/") or "/")
        if page is None:
            found = _plain(404, f"there is no {scope['path'][:100]}; there are {', '.join(self._pages)}")
        elif scope["method"] not in ("GET", "HEAD"):
            found = _plain(405, "use GET")
        else:
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            found = await asyncio.to_thread(page, accept) if self._in_thread else page(accept)
        status, body, content_type = found
        headers = [
            (b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"),
        ]  # fmt: skip
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _plain(status: int, text: str) -> tuple[int, bytes, str]:
    return status, text.encode() + b"\n", "text/plain; charset=utf-8"


def metrics_pages(scrape: Callable[[str], tuple[bytes, str]]) -> Pages:
    """`/metrics`. It asks parts for their counters, some of which take a lock: in a thread."""
    return Pages({"/metrics": lambda accept: (200, *scrape(accept))}, in_thread=True)


def health_pages(config: HealthCheckConfig, health: Callable[[], Health]) -> Pages:
    """`/live`, `/ready` and the configured path. Answered in the server's own thread, from facts that need no lock."""
    started_s = time.time()

    def live(_: str) -> tuple[int, bytes, str]:
        return 200, health_body(Health(), started_s), _JSON

    def ready(_: str) -> tuple[int, bytes, str]:
        now = health()
        return (200 if now.is_ready else 503), health_body(now, started_s), _JSON

    return Pages({config.path.rstrip("/") or "/": ready, "/ready": ready, "/live": live}, in_thread=False)


def health_body(health: Health, started_s: float) -> bytes:
    """`status`, `upSince` and `uptime` as the Collector's health check has them, and what is wrong."""
    body = {
        "status": "Server available" if health.is_ready else "Server not available",
        "upSince": datetime.fromtimestamp(started_s, UTC).isoformat(),
        "uptime": f"{time.time() - started_s:.3f}s",
        "troubles": health.to_dict()["troubles"],
    }
    return json.dumps(body).encode()
