"""The JSON API of a collector, over a connection for each question."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from bmad_otel._settings import variable
from bmad_otel.monitor._host import Unanswered

DEFAULT_PORT: Final = 8320

TIMEOUT_S: Final = 5.0
"""A collector answers in milliseconds; one under full load in a few seconds."""

_MAX_ANSWER_BYTES: Final = 64 << 20
"""More than ten thousand agents need; a foreign server must not fill the memory."""


class Api:
    """``endpoint``: ``host:port``, ``host`` or a URL. Raises ValueError for anything else."""

    def __init__(self, endpoint: str, *, timeout_s: float = TIMEOUT_S) -> None:
        url = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        try:
            port = url.port
        except ValueError:
            port = None
            is_wrong = True
        else:
            is_wrong = url.scheme not in ("http", "https") or not url.hostname
        if is_wrong:
            raise ValueError(f"endpoint must be the address of a collector's API such as localhost:{DEFAULT_PORT}, "
                             f"not {endpoint!r}")  # fmt: skip
        self.host = url.hostname or ""
        self._port = port or DEFAULT_PORT
        self._is_tls = url.scheme == "https"
        self._prefix = url.path.rstrip("/")
        self._timeout_s = timeout_s

    @property
    def address(self) -> str:
        """As a person reads it."""
        return f"{self.host}:{self._port}"

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer at ``path`` below ``/api/v1/``. Raises Unanswered or ConnectionError."""
        return self._request("GET", path, params or {}, None)

    def put(self, path: str, params: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises as `get` does."""
        return self._request("PUT", path, params, json.dumps(body).encode())

    def _request(self, method: str, path: str, params: Mapping[str, str], body: bytes | None) -> dict[str, Any]:
        target = f"{self._prefix}/api/v1/{quote(path)}" + ("?" + urlencode(params) if params else "")
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        if (token := variable("BMAD_OTEL_API_TOKEN")) is not None:
            headers["Authorization"] = token if " " in token else f"Bearer {token}"
        try:
            connection = self._connection()
        except OSError as error:
            raise ConnectionError(f"BMAD_OTEL_API_CA_FILE cannot be used: {_reason(error)}") from error
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            status, answer = response.status, response.read(_MAX_ANSWER_BYTES + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:  # a token may be what no header can carry
            raise ConnectionError(f"no collector answers at {self.address}: {_reason(error)}") from error
        finally:
            connection.close()
        try:
            found = json.loads(answer) if len(answer) <= _MAX_ANSWER_BYTES else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ConnectionError(f"what listens at {self.address} is not a bmad-otel collector")
        if 200 <= status < 300:
            return found
        detail = str(found.get("detail"))
        if 400 <= status < 500:
            raise Unanswered(status, str(found.get("error")), detail, list(found.get("suggestions") or ()))
        raise ConnectionError(f"the collector at {self.address} could not answer ({status}): {detail}")

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context(cafile=variable("BMAD_OTEL_API_CA_FILE"))
            return http.client.HTTPSConnection(self.host, self._port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(self.host, self._port, timeout=self._timeout_s)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror | ConnectionRefusedError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__
