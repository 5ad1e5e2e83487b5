"""Where answers come from: a running collector over HTTP, else its store file.

When the user names neither, the background service of this user is asked, then a collector at the default address; when
neither runs, the file that was written last is read: the service's, or the one in the current directory.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from bmad_processor.errors import ConfigError, Problem, ProcessorError, StoreError, Unanswerable
from bmad_processor.quantities import split_endpoint
from bmad_processor.service import Home, find
from bmad_processor.service.endpoints import reachable

DEFAULT_ENDPOINT: Final = "localhost:8320"
DEFAULT_STATE: Final = "./bmad-otel.db"

_LOG: Final = logging.getLogger("bmad_otel.cli")

TIMEOUT_S: Final = 10.0
"""A collector answers in milliseconds; one that is starting or under full load in a few seconds."""

MAX_ANSWER_BYTES: Final = 256 * 2**20
"""More than ten thousand agents need; a foreign server must not fill the memory."""

TLS: Final = "https://"
"""Before an endpoint whose API has TLS."""

TOKEN_VARIABLE: Final = "BMAD_OTEL_API_TOKEN"  # noqa: S105  its name, not its value
"""Not an option: what stands on a command line is seen by every user of the machine."""

CA_VARIABLE: Final = "BMAD_OTEL_API_CA_FILE"

LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class NoData(ProcessorError):
    """Neither a collector nor a store file has an answer."""


class Failed(ProcessorError):
    """The collector is there, but could not answer."""


class Unreachable(ProcessorError):
    """Nothing that speaks our API listens at the endpoint."""


@dataclass(frozen=True, slots=True)
class Source:
    """Asks the collector at ``endpoint``, and reads the file ``state`` when there is none.

    What was given explicitly decides: with only ``state`` the file is read at once, and with only an endpoint on
    another machine no local file is read in its place, for it would belong to another collector. With neither, the
    background service stands for both.
    """

    endpoint: str | None
    state: str | None
    note: Callable[[str], None]
    """Told, in a sentence, when the answer comes from the file."""

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The API's answer for ``path`` (its parts not yet quoted). Raises Unanswerable, NoData or Failed."""
        if self.endpoint is None and self.state is not None:
            return self._read(self.state, path, params or {}, f"reading {self.state}", "")
        endpoint = self.endpoint or service_endpoint() or DEFAULT_ENDPOINT
        # a file of the service would belong to another collector than the one that was named
        state = self.state or (last_written() if self.endpoint is None else DEFAULT_STATE)
        try:
            return ask(endpoint, path, params)
        except Unreachable as error:
            if self.state is None and split_endpoint(endpoint.removeprefix(TLS))[0] not in LOCAL:
                raise NoData(f"no collector answers at {endpoint} ({error})") from error
            missing = f"no collector answers at {endpoint}"
            return self._read(state, path, params or {}, f"{missing}; reading {state}", f"{missing}, and ")

    def _read(self, state: str, path: str, params: Mapping[str, str], note: str, missing: str) -> dict[str, Any]:
        # imported here: a running collector answers without any of it
        from bmad_processor.read_model import ReadModel, answer
        from bmad_processor.store import StoreReader

        model = ReadModel(StoreReader(state))
        _LOG.debug("reading %s for %s", state, path)
        try:
            self.note(note)
            return answer(model, path, params)
        except StoreError as error:
            hint = "start one with: bmad-otel start-monitoring, or bmad-otel collector --config FILE"
            hint += "; or name its file with --state"
            raise NoData(f"{missing}{error}; {hint}") from error


def service_endpoint() -> str | None:
    """The API of this user's background service; None when none runs."""
    record = find(Home.of())
    return None if record is None or record.api is None else reachable(record.api)


def last_written() -> str:
    """The store file to read when no collector answers and none was named: the one written last."""
    service = str(Home.of().database)
    return max((DEFAULT_STATE, service), key=_written_s)


def _written_s(path: str) -> float:
    """When the database at ``path`` was written, in seconds since the epoch; 0 when there is none."""
    found = 0.0
    for name in (path, path + "-wal"):  # what was committed last is in the log beside the file
        try:
            found = max(found, Path(name).stat().st_mtime)
        except OSError:
            continue
    return found


def ask(
    endpoint: str,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    body: Mapping[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """The answer of the API at ``endpoint``; with ``body``, the answer to putting that there.

    Raises Unreachable, Failed, NoData, Unanswerable, or ConfigError with what is wrong with ``body``.
    """
    target = "/api/v1/" + quote(path) + ("?" + urlencode(params) if params else "")
    connection = _connection(endpoint, timeout_s)
    headers = {"Accept": "application/json"} | _credentials()
    began_s = time.perf_counter()
    try:
        if body is None:
            connection.request("GET", target, headers=headers)
        else:
            connection.request("PUT", target, json.dumps(body), headers | {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES + 1)
        took_ms, method = (time.perf_counter() - began_s) * 1e3, "GET" if body is None else "PUT"
        url = f"{endpoint if endpoint.startswith(TLS) else 'http://' + endpoint}{target}"
        _LOG.debug("%s %s: %d, %d bytes, %.1f ms", method, url, response.status, len(content), took_ms)
    except TimeoutError as error:
        raise Failed(f"the collector at {endpoint} did not answer within {timeout_s:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Failed(f"the certificate of {endpoint} is not trusted ({error.verify_message}); "
                     f"{CA_VARIABLE} names its authority") from error  # fmt: skip
    except OSError as error:
        raise Unreachable(error.strerror or str(error) or type(error).__name__) from error
    except http.client.HTTPException as error:
        # what such an error says is what came, which may be anything
        raise Unreachable("what listens there does not speak HTTP") from error
    finally:
        connection.close()
    try:
        data = json.loads(content) if len(content) <= MAX_ANSWER_BYTES else None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Unreachable("what listens there is not a bmad-otel collector")
    if response.status == 200:
        return data
    if response.status == 401:
        raise Failed(f"the collector at {endpoint} wants to know who asks; {TOKEN_VARIABLE} says it")
    code, detail = str(data.get("error")), str(data.get("detail"))
    if code == "no_store":
        raise NoData(detail)
    if code == "invalid_profile":
        raise ConfigError([Problem(**problem) for problem in data.get("problems") or ()])
    if response.status in (400, 404) or code == "cannot_persist":
        raise Unanswerable(response.status, code, detail, [str(item) for item in data.get("suggestions") or ()])
    raise Failed(f"the collector at {endpoint} could not answer ({response.status}): {detail}")


def _connection(endpoint: str, timeout_s: float) -> http.client.HTTPConnection:
    host, port = split_endpoint(endpoint.removeprefix(TLS))
    if not endpoint.startswith(TLS):
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    file = os.environ.get(CA_VARIABLE) or None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        raise Failed(f"{CA_VARIABLE}: cannot read {file}: {error.strerror or error}") from error
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def _credentials() -> dict[str, str]:
    """A token is sent as a bearer token; with a word before it (``Basic ...``) as it stands."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise Failed(f"{TOKEN_VARIABLE} has characters that no header has")
    return {"Authorization": token if " " in token else f"Bearer {token}"}
