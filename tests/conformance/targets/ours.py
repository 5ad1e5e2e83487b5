"""`bmad-otel collector`, as it is installed: with the engine, a store, and the exporters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.conformance.backend import Backend

from .base import Child, Server, Wish
from .stock import configuration

PROGRAM = Path(sys.executable).with_name("bmad-otel")


class OursTarget:
    """Takes the stock Collector's configuration, and a few keys of its own."""

    name = "ours"

    def start(self, folder: Path, backend: Backend, wish: Wish) -> Server:
        child = self._run(folder, wish, backend.grpc, backend.http)
        child.wait_until(lambda: " ready: " in child.log)
        parts = child.log.partition(" ready: ")[2].splitlines()[0].split(", ")
        endpoints = dict(part.rsplit(" ", 1) for part in parts)
        return Server(endpoints.get("otlp/grpc", ""), endpoints.get("otlp/http", ""), backend, child)

    def launch(self, folder: Path, wish: Wish) -> Child:
        nowhere = "127.0.0.1:9"
        return self._run(folder, wish, nowhere, f"http://{nowhere}")

    def _run(self, folder: Path, wish: Wish, to_grpc: str, to_http: str) -> Child:
        config = configuration(wish, to_grpc, to_http, grpc=wish.grpc, http=wish.http)
        _make_ours(config, folder, wish)
        path = folder / "collector.yaml"
        path.write_text(json.dumps(config, indent=2))
        return Child([str(PROGRAM), "collector", "--config", str(path)], folder / "collector.txt")


def _make_ours(config: dict[str, Any], folder: Path, wish: Wish) -> None:
    """Adds the engine and its store; takes away what only the stock Collector has."""
    config["processors"] = {"agent_performance": {}}
    config["extensions"]["sqlite"] = {"path": str(folder / "state.db")}
    del config["service"]["telemetry"]
    config["service"]["extensions"] = list(config["extensions"])
    for signal in ("traces", "metrics"):
        if signal in config["service"]["pipelines"]:
            config["service"]["pipelines"][signal]["processors"] = ["agent_performance"]
    used = {name for pipeline in config["service"]["pipelines"].values() for name in pipeline["exporters"]}
    config["exporters"] = {name: exporter for name, exporter in config["exporters"].items() if name in used}
    for exporter in config["exporters"].values():
        exporter.get("sending_queue", {}).pop("num_consumers", None)
    if wish.is_strict_json:
        config["receivers"]["otlp"]["protocols"]["http"]["strict_json"] = True
