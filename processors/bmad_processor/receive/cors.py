"""CORS: what a browser is told before and after a page of another site sends telemetry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .config import CorsConfig

Headers = list[tuple[bytes, bytes]]

_HEADERS: Final = frozenset({"accept", "authorization", "content-encoding", "content-type"})
"""What OTLP exporters in browsers send; allowed beside the configured ones."""


class Cors:
    """Answers for one configuration.

    An origin that is allowed by name or pattern may send its user's credentials; one that only a bare ``*`` allows may
    not: with them, every page the user visits could speak for the user.
    """

    def __init__(self, config: CorsConfig) -> None:
        self.is_on: Final = bool(config.allowed_origins)
        self._allows_all = "*" in config.allowed_origins
        patterns = [origin.lower() for origin in config.allowed_origins if origin != "*"]
        self._origins = [re.compile("[^/]*".join(map(re.escape, p.split("*"))) if "://" in p else
                                    ".*".join(map(re.escape, p.split("*")))) for p in patterns]  # fmt: skip
        self._allows_headers = "*" in config.allowed_headers
        self._headers = _HEADERS | {name.lower() for name in config.allowed_headers}
        self._exposed = ", ".join(config.exposed_headers).encode("latin-1")
        self._max_age = config.max_age

    def is_preflight(self, method: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser asks for permission."""
        return self.is_on and method == "OPTIONS" and b"access-control-request-method" in headers

    def preflight(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Headers of the answer to a preflight; without permission in them the browser refuses by itself."""
        vary = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        allowed = self._allowed(headers)
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1")
        names = [name.strip().lower() for name in asked.split(",") if name.strip()]
        is_post = headers.get(b"access-control-request-method", b"").upper() == b"POST"
        if not allowed or not is_post or not (self._allows_headers or self._headers.issuperset(names)):
            return [vary]
        answer = [vary, *allowed, (b"access-control-allow-methods", b"POST")]
        if names:
            answer.append((b"access-control-allow-headers", ", ".join(names).encode("latin-1")))
        if self._max_age:
            answer.append((b"access-control-max-age", str(self._max_age).encode()))
        return answer

    def answer(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Headers for the answer to a request itself."""
        if not self.is_on:
            return []
        allowed = self._allowed(headers)
        if allowed and self._exposed:
            allowed.append((b"access-control-expose-headers", self._exposed))
        return [(b"vary", b"Origin"), *allowed]

    def _allowed(self, headers: Mapping[bytes, bytes]) -> Headers:
        origin = headers.get(b"origin")
        if origin is None:
            return []
        name = origin.decode("latin-1").lower()
        if any(pattern.fullmatch(name) for pattern in self._origins):
            return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
        return [(b"access-control-allow-origin", b"*")] if self._allows_all else []
