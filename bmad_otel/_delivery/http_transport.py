"""OTLP over HTTP, for requests that are already bytes.

By the standard library's client: its socket can be closed from another thread, it adds no dependency, and
instrumentations of HTTP libraries do not see it, so sending a span makes no span.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import socket
import ssl
import threading
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from bmad_otel._delivery.answers import Again, Answer, Refused
from bmad_otel._delivery.encoding import taken
from bmad_otel._delivery.target import Target
from bmad_otel._version import __version__

_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses after which OTLP has a client try again, and the one that says the request took too long to arrive."""

_SET_UP: Final = frozenset({401, 403, 404, 405, 407, *range(300, 400)})
"""Statuses that speak of address or credentials, not of what was sent."""

_MAX_ANSWER_BYTES: Final = 65_536
"""As much of an answer is read; a receiver's word on a request is far shorter."""


class HttpTransport:
    """A connection that is kept open between requests."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._url = urlsplit(target.address)
        self._tls = _tls(target) if target.is_secure else None
        self._proxy = _proxy_of(self._url)
        self._headers = self._fixed_headers()
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._stops = 0

    def send(self, body: bytes, timeout_s: float) -> Answer:
        deadline_s = time.monotonic() + timeout_s
        if self._target.compression == "gzip":
            body = gzip.compress(body, compresslevel=6)
        elif self._target.compression == "deflate":
            body = zlib.compress(body)
        is_kept = self._connection is not None
        stops = self._stops
        try:
            try:
                return self._post(body, deadline_s)
            except (ConnectionError, http.client.BadStatusLine):
                # A receiver may close a kept connection at any time: that is worth a new one, once.
                if not is_kept or stops != self._stops:
                    raise
                self._drop()
                return self._post(body, deadline_s)
        except Exception as error:  # noqa: BLE001 - sockets, TLS and HTTP raise what they like
            self._drop()
            return _answer_of(error)

    def stop(self) -> None:
        self._stops += 1
        with self._lock:
            connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):  # the only way to wake a thread that waits for an answer
                connection.sock.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._drop()

    def _post(self, body: bytes, deadline_s: float) -> Answer:
        connection = self._open(_left_s(deadline_s))
        if connection.sock is not None:
            connection.sock.settimeout(_left_s(deadline_s))
        path = self._url.path or "/"
        if self._url.query:
            path += f"?{self._url.query}"
        if self._proxy is not None and self._tls is None:
            path = f"{self._url.scheme}://{self._url.netloc.rpartition('@')[2]}{path}"
        connection.request("POST", path, body, self._headers)
        if connection.sock is not None:
            connection.sock.settimeout(_left_s(deadline_s))
        response = connection.getresponse()
        answer = response.read(_MAX_ANSWER_BYTES)
        if not response.isclosed():
            self._drop()  # there is more, which nobody will read
        return self._answer(response, answer)

    def _answer(self, response: http.client.HTTPResponse, body: bytes) -> Answer:
        status = response.status
        if 200 <= status < 300:
            return taken(self._target.signal, body)
        message = f"HTTP {status} {response.reason}"
        if status in _AGAIN:
            return Again(str(status), message, after_s=_retry_after_s(response.getheader("Retry-After")))
        return Refused(str(status), message, is_content=status not in _SET_UP)

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._connection is None:
            connection = self._new(timeout_s)
            with self._lock:
                self._connection = connection
        return self._connection

    def _new(self, timeout_s: float) -> http.client.HTTPConnection:
        place, via = self._url, self._proxy
        host = place.hostname or "localhost"
        if self._tls is None:
            next_hop = via or place
            return http.client.HTTPConnection(next_hop.hostname or "localhost", next_hop.port, timeout=timeout_s)
        if via is None:
            return http.client.HTTPSConnection(host, place.port, timeout=timeout_s, context=self._tls)
        connection = http.client.HTTPSConnection(
            via.hostname or "localhost", via.port, timeout=timeout_s, context=self._tls
        )
        connection.set_tunnel(host, place.port or 443, _proxy_authorization(via))
        return connection

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _fixed_headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": f"bmad-otel/{__version__}"}
        if self._target.compression != "none":
            headers["Content-Encoding"] = self._target.compression
        if self._url.username is not None:
            headers["Authorization"] = _basic(self._url)
        if self._proxy is not None and self._tls is None:
            headers.update(_proxy_authorization(self._proxy))
        return {**headers, **dict(self._target.headers)}


def _answer_of(error: Exception) -> Answer:
    name = type(error).__name__
    message = f"{name}: {error}"[:200]
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(name, message, is_content=False)
    unreached = isinstance(error, ConnectionRefusedError | socket.gaierror)
    return Again(name, message, was_reached=not unreached)


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s


def _tls(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.certificate)
    if target.client_certificate is not None:
        context.load_cert_chain(target.client_certificate, target.client_key)
    return context


def _proxy_of(url: SplitResult) -> SplitResult | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or the system, want for ``url``."""
    proxy = getproxies().get(url.scheme)
    if not proxy or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    return {} if proxy.username is None else {"Proxy-Authorization": _basic(proxy)}


def _basic(url: SplitResult) -> str:
    credentials = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _retry_after_s(value: str | None) -> float | None:
    """Seconds in a Retry-After header, which gives them or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
