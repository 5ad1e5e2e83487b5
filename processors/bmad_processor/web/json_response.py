"""JSON answers that every parser reads, and no browser keeps or reinterprets."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response


class FiniteJsonResponse(Response):
    """JSON with the API's headers. Numbers that JSON cannot say (NaN, infinity) become null."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            content,
            status_code,
            {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | (headers or {}),
        )

    def render(self, content: Any) -> bytes:
        """UTF-8 JSON."""
        try:
            return json.dumps(content, allow_nan=False, ensure_ascii=True, separators=(",", ":")).encode()
        except ValueError:
            return json.dumps(_finite(content), allow_nan=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value
