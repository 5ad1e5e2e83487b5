"""The service ProductOwner plans with: a backlog in a JSON file, ranked anew for every request, on one thread.

Deliberately built as such services are: correct, and fine until it is used. Ranking compares every idea with every
other (Copeland's method), so that its time grows with the square of the backlog; and when the file is gone it can only
answer 500.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from examples.demo import lifeline

Idea = dict[str, Any]


def rank(ideas: list[Idea]) -> list[Idea]:
    """``ideas`` in the order of how many others each one beats by value for effort."""
    worth = [idea["value"] / idea["effort"] for idea in ideas]
    wins = [0] * len(ideas)
    for i, mine in enumerate(worth):
        wins[i] = sum(mine > other for other in worth)
    return [ideas[i] for i in sorted(range(len(ideas)), key=wins.__getitem__, reverse=True)]


def estimate(title: str) -> Idea:
    """An idea with value and effort that depend on nothing but its title."""
    digest = hashlib.sha256(title.encode()).digest()
    return {"title": title, "value": 1 + digest[0], "effort": 1 + digest[1]}


class Backlog:
    """The file. Every answer reads it, every change writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ranking(self, top: int) -> dict[str, Any]:
        ideas = self._load()
        started = time.perf_counter()
        best = rank(ideas)[:top]
        return {"items": best, "size": len(ideas), "took_s": time.perf_counter() - started}

    def add(self, titles: list[str]) -> dict[str, Any]:
        return self._save(self._load() + [estimate(title) for title in titles])

    def groom(self, keep: int) -> dict[str, Any]:
        return self._save(rank(self._load())[:keep])

    def _load(self) -> list[Idea]:
        ideas: list[Idea] = json.loads(self._path.read_text())
        return ideas

    def _save(self, ideas: list[Idea]) -> dict[str, Any]:
        self._path.write_text(json.dumps(ideas))
        return {"size": len(ideas)}


class Handler(BaseHTTPRequestHandler):
    """``GET /ranking?top=N``, ``POST /ideas`` and ``POST /groom``."""

    backlog: Backlog

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        top = int(parse_qs(url.query).get("top", ["10"])[0])
        self._answer(lambda: self.backlog.ranking(top))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/groom":
            self._answer(lambda: self.backlog.groom(body["keep"]))
        else:
            self._answer(lambda: self.backlog.add([idea["title"] for idea in body]))

    def _answer(self, work: Any) -> None:
        try:
            status, answer = 200, work()
        except OSError as error:
            status, answer = 500, {"error": f"{type(error).__name__}: {error.strerror}"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Silent: the demo shows what the collector says, not what the server says."""


def main() -> None:
    """``python -m examples.demo.backlog_server FILE PORT``"""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lifeline.hold()
    Handler.backlog = Backlog(Path(sys.argv[1]))
    with HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler) as server:
        print("listening", flush=True)
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
