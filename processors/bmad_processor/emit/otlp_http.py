"""OTLP/HTTP sender: request bytes out unchanged, as protobuf; status codes in."""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from bmad_processor.errors import StartError
from bmad_processor.security import Authenticator, credentials

from .client_tls import FileWatch, ssl_context
from .config import OtlpHttpConfig
from .outcome import Permanent, Transient
from .partial import rejected_items
from .request import REDELIVERED, ExportRequest

_CONCERNS_ALL: Final = frozenset({301, 302, 307, 308, 401, 403, 404, 405, 407})

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""The table of the OTLP specification; every other 4xx and 5xx must not be retried."""

_MAX_RESPONSE_BYTES: Final = 4 * 2**20
"""OTLP bounds a response to 4 MiB; what is longer is not read to its end."""

_GZIP_LEVEL: Final = 1
"""Of 1000 spans level 1 makes 57 kB in 1.3 ms, the default level 6 makes 55 kB in 4.4 ms."""


def parse_retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait according to a `Retry-After` header: a number of seconds, or an HTTP date."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _message(response: httpx2.Response, body: bytes) -> str:
    """The backend's own words, from google.rpc.Status or the text."""
    if response.headers.get("content-type", "").startswith("application/x-protobuf"):
        try:
            return Status.FromString(body).message[:500]
        except DecodeError:
            return ""
    return body[:500].decode("utf-8", "replace")


class HttpSender:
    """One connection pool to one backend."""

    can_join = True

    def __init__(
        self,
        config: OtlpHttpConfig,
        now: Callable[[], float] = time.time,
        *,
        clock: Callable[[], float] = time.monotonic,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._config = config
        self._authenticator = authenticator
        self._now = now
        self._clock = clock
        self._timeout_s = config.timeout / 1e9
        self._extensions = (
            {"sni_hostname": config.tls.server_name_override} if config.tls.server_name_override is not None else {}
        )
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._watch = FileWatch(config.tls, clock())

    def open(self) -> None:
        """Make the client; it connects with the first request. Raises StartError for an unreadable file."""
        client_log = logging.getLogger("httpx2")
        if client_log.level == logging.NOTSET:
            client_log.setLevel(logging.WARNING)  # it logs a line per request at INFO
        self._client = self._new_client()

    def _new_client(self) -> httpx2.Client:
        # trust_env: a backend is where the configuration says, and has the certificate it says
        return httpx2.Client(verify=ssl_context(self._config.tls), timeout=self._timeout_s, trust_env=False)

    def send(self, request: ExportRequest) -> int:
        """See `sending_queue.Sender`."""
        if self._watch.has_changed(self._clock()):
            self._renew()
        assert self._client is not None, "open() comes first"
        url = self._config.url(request.signal)
        if url is None:
            raise Permanent(f"no endpoint for {request.signal}", concerns_all=True)
        # accept-encoding: the answer is empty or tiny, and an uncompressed one is bounded by what we read
        headers = {**self._config.headers, "content-type": "application/x-protobuf", "accept-encoding": "identity"}
        if request.is_redelivery:
            headers[REDELIVERED] = "true"
        headers |= credentials(self._authenticator)
        content = request.body
        if self._config.compression == "gzip":
            headers["content-encoding"] = "gzip"
            content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
        try:
            with self._client.stream(
                "POST", url, content=content, headers=headers, extensions=self._extensions
            ) as response:
                return self._judge(request, response, self._clock() + self._timeout_s)
        except httpx2.InvalidURL as error:
            raise Permanent(f"{url}: {error}", concerns_all=True) from error
        except (httpx2.LocalProtocolError, UnicodeError):  # they quote it, and it may be a secret
            raise Permanent("a header is not one that HTTP allows", concerns_all=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Transient(f"{type(error).__name__}: {error}", is_answered=True) from error  # nothing was sent
        except httpx2.HTTPError as error:
            raise Transient(f"{type(error).__name__}: {error}") from error
        except RuntimeError as error:
            # httpx2's answer to a request on a closed client: we are stopping, or it was made anew
            raise Transient(str(error), is_answered=True) from error

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _renew(self) -> None:
        """A new client with the files as they are now; requests in flight end with an error, and are sent again."""
        with self._lock:
            try:
                client = self._new_client()
            except StartError as error:  # a file is being replaced: the old connection still works
                raise Transient(str(error), is_answered=True) from error
            old, self._client = self._client, client
            if old is not None:
                old.close()

    def _judge(self, request: ExportRequest, response: httpx2.Response, until_s: float) -> int:
        body = b""
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _MAX_RESPONSE_BYTES:
                body = b""
                break
            if self._clock() > until_s:  # each piece came in time, all of them together do not
                body = b""
                break
        code = response.status_code
        if 200 <= code < 300:
            return rejected_items(request.signal, body)
        reason = f"HTTP {code}: {_message(response, body)}"
        if code in RETRYABLE:
            retry_after_s = parse_retry_after(response.headers.get("retry-after"), self._now)
            raise Transient(reason, retry_after_s, is_answered=True)
        raise Permanent(reason, concerns_all=code in _CONCERNS_ALL, is_size=code == 413)
