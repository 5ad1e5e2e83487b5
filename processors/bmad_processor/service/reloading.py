"""Asks the service of a state directory to read its configuration again, and waits for what becomes of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from typing import Any, Final

from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint

from .endpoints import reachable
from .home import Home
from .record import Record, find

DEADLINE_S: Final = 30.0
"""Checking takes milliseconds, exchanging parts up to a few seconds each when backends and senders hold on."""

_POLL_S: Final = 0.05


def reload(home: Home, *, deadline_s: float = DEADLINE_S) -> dict[str, Any] | None:
    """What became of it: ``at``, ``outcome`` and ``message`` as in the collector's status. None when no service runs.

    Raises StartError when the service does not answer, or not in time.
    """
    record = find(home)
    if record is None or record.api is None:
        return None
    before = _config_status(record, record.api)
    try:
        os.kill(record.pid, signal.SIGHUP)
    except ProcessLookupError:
        return None
    except PermissionError as error:
        raise StartError(f"process {record.pid} belongs to another user") from error
    return _wait(home, before, time.monotonic() + deadline_s)


def _wait(home: Home, before: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    while time.monotonic() < deadline_s:
        record = find(home)  # again each time: a reload may move the API
        if record is None or record.api is None:
            raise StartError("the service ended")
        try:
            now = _config_status(record, record.api)
        except StartError:
            now = before  # its API is just being exchanged
        if now["reloads"] != before["reloads"] and now["last_reload"] is not None:
            return dict(now["last_reload"])
        time.sleep(_POLL_S)
    raise StartError("the service has not read its configuration in time; its log says more: bmad-otel log")


def _config_status(record: Record, api: str) -> dict[str, Any]:
    host, port = split_endpoint(reachable(api))
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/api/v1/status")
        return dict(json.loads(connection.getresponse().read())["config"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise StartError(f"process {record.pid} is the service, but its API at {api} does not answer") from error
    finally:
        connection.close()
