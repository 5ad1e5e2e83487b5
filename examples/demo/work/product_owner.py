"""ProductOwner: plans from a backlog that a service keeps; feels it when the service is slow or fails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from bmad_otel import track_task

from .agent import Surroundings, Task

PATIENCE_S: Final = 1.0
"""Nobody hands in further ideas while a plan takes longer than this."""

_TOPICS: Final = ("search", "export", "login", "billing", "reports", "mobile", "alerts", "import")


class BacklogUnavailable(Exception):
    """The service answered, but not with what was asked for."""


class ProductOwner:
    """Asks for the top of the backlog again and again; collects ideas and grooms when the conductor says so."""

    every_s = 0.2
    share = 1.0
    # It waits for another process nearly all of the time, which costs nobody CPU.

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._address = urlsplit(surroundings.backlog_url).netloc
        self._numbers = itertools.count()
        self._backlog_size = 0
        self._service_s = 0.0

    def tasks(self) -> Iterator[Task]:
        while True:
            yield self.plan_sprint
            ideas = self._surroundings.order("ideas", 0)
            if ideas and self._service_s < PATIENCE_S:
                yield partial(self.collect_ideas, ideas)
            keep = self._surroundings.order("keep", 0)
            if keep and self._backlog_size > keep:
                yield partial(self.groom, keep)

    @track_task
    def plan_sprint(self) -> list[str]:
        """The ten best ideas."""
        answer = self._call("GET", "/ranking?top=10")
        self._service_s = answer["took_s"]
        return [item["title"] for item in answer["items"]]

    @track_task
    def collect_ideas(self, count: int) -> None:
        """Hands in ``count`` new ideas."""
        topics = itertools.cycle(_TOPICS)
        ideas = [{"title": f"{topic} {next(self._numbers)}"} for topic in itertools.islice(topics, count)]
        self._call("POST", "/ideas", ideas)

    @track_task
    def groom(self, keep: int) -> None:
        """Drops all but the ``keep`` best."""
        self._call("POST", "/groom", {"keep": keep})

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = HTTPConnection(self._address, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
        except HTTPException as error:
            raise BacklogUnavailable(f"answer broke off: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise BacklogUnavailable(f"HTTP {response.status}: {text.decode(errors='replace')[:200]}")
        answer: dict[str, Any] = json.loads(text)
        self._backlog_size = answer["size"]
        return answer
