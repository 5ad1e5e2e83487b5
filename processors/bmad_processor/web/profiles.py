"""The one thing the API changes: ``PUT /api/v1/profiles/{agent}``.

A page in a browser must not be able to do it. JSON as the content type cannot be sent across sites without asking
first, which nobody answers here, and a foreign Origin is refused besides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bmad_processor.errors import Unanswerable

from .json_response import FiniteJsonResponse

MAX_BODY_BYTES: Final = 64 * 1024
"""A profile with every level of every metric type is two kilobytes."""

_PARAMETERS: Final = ("persist", "replace")


class PutProfile(Protocol):
    """Changes an agent's profile and gives the new one. Raises ConfigError or ProfileError."""

    def __call__(
        self, name: str, body: Mapping[str, Any], *, persist: bool, replace: bool = False
    ) -> dict[str, Any]: ...


def profile_routes(put_profile: PutProfile | None) -> list[Route]:
    """The route that takes changes; none when nobody takes them."""
    if put_profile is None:
        return []

    async def put(request: Request) -> Response:
        _check_sender(request)
        flags = _flags(request.query_params)
        name = request.path_params["agent"]
        if not name.strip():
            raise Unanswerable(400, "bad_parameter", "an agent's name is needed, such as profiles/ProductOwner")
        body = _parse(await _read(request))
        return FiniteJsonResponse(await run_in_threadpool(put_profile, name, body, **flags))

    return [Route("/api/v1/profiles/{agent:path}", put, methods=["PUT"])]


def _check_sender(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Unanswerable(415, "not_json", "the Content-Type must be application/json")
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() != f"{request.url.scheme}://{request.headers.get('host', '').lower()}":
        raise Unanswerable(403, "foreign_origin", "profiles are not changed by pages of other sites")


def _flags(params: Mapping[str, str]) -> dict[str, bool]:
    for name in params:
        if name not in _PARAMETERS:
            raise Unanswerable(400, "bad_parameter", f"unknown parameter: {name}", _PARAMETERS)
    flags = {}
    for name in _PARAMETERS:
        value = params.get(name, "false")
        if value not in ("true", "false"):
            raise Unanswerable(400, "bad_parameter", f"{name} must be true or false", ["true", "false"])
        flags[name] = value == "true"
    return flags


async def _read(request: Request) -> bytes:
    """The body; the server's own deadline bounds the time it takes to come."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise Unanswerable(413, "too_large", f"a profile has at most {MAX_BODY_BYTES // 1024} KiB")
        parts.append(part)
    return b"".join(parts)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise Unanswerable(400, "bad_json", f"the body is not JSON: {said}") from error
    if not isinstance(data, dict):
        raise Unanswerable(400, "bad_json", "the body must be an object with thresholds, scaling ...")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
