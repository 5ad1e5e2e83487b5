"""What several processes say about themselves is what one would say."""

from __future__ import annotations

import http.client
import json
import os
import signal as signals
from pathlib import Path

from bmad_processor.config import load_config
from bmad_processor.model import Signal
from bmad_processor.run.workers.start import Start, config_of_worker, listeners
from bmad_processor.run.workers.sums import summed
from tests.run import otlp
from tests.run.collectors import Api, eventually, write_config
from tests.run.otlp import GrpcClient, post

from .several import change, pids, supervised, write_workers


def get(endpoint: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_numbers_are_added_and_limits_are_not() -> None:
    one = {
        "a": {"n": 1, "bounds": [1, 2], "counts": [1, 0, 2]},
        "gc": [{"c": 1}],
        "is": True,
        "x_ratio": 0.5,
        "s": "first",
    }
    other = {
        "a": {"n": 2, "bounds": [1, 2], "counts": [0, 5, 1]},
        "gc": [{"c": 3}],
        "is": False,
        "x_ratio": 0.2,
        "b": 7,
    }
    assert summed([one, other]) == {
        "a": {"n": 3, "bounds": [1, 2], "counts": [1, 5, 3]},
        "gc": [{"c": 4}],
        "is": True,
        "x_ratio": 0.5,
        "s": "first",
        "b": 7,
    }
    assert summed([]) == {}


def test_health_and_metrics_are_of_all_workers(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    tree = json.loads(path.read_text())
    tree["extensions"]["health_check"] = {"endpoint": "127.0.0.1:0"}
    tree["service"]["extensions"].append("health_check")
    page = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": 0}}}}
    tree["service"]["telemetry"] = {"metrics": {"readers": [page]}}
    path.write_text(json.dumps(tree))
    with supervised(path) as collector:
        health, metrics = collector.endpoints["health_check"], collector.endpoints["telemetry/prometheus"]
        api = Api(collector.endpoints["api"])
        for _ in range(12):
            with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
                client.export(Signal.TRACES, otlp.tasks("A", 2))
        lines = get(metrics, "/metrics")[1].splitlines()
        accepted = [line for line in lines if line.startswith("otelcol_receiver_accepted_spans") and "grpc" in line]
        assert [float(line.rpartition(" ")[2]) for line in accepted] == [24.0], "the sum, once"
        assert api.status()["intake"]["accepted_traces"] == 24
        assert get(health, "/")[0] == 200
        assert api.status()["health"] == {"is_ready": True, "troubles": []}
        victim = pids(api.status())[0]
        os.kill(victim, signals.SIGKILL)
        eventually(lambda: get(health, "/")[0] == 503)
        eventually(lambda: get(health, "/")[0] == 200)


def test_a_worker_has_its_part_of_every_limit(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    tree["processors"]["memory_limiter"] = {"limit_mib": 1000, "spike_limit_mib": 200}
    for pipeline in tree["service"]["pipelines"].values():
        pipeline["processors"] = ["memory_limiter", *pipeline.get("processors", [])]
    tree["service"]["workers"] = 4
    path.write_text(json.dumps(tree))
    config = load_config([path])
    parts = [config_of_worker(config, n, listeners(config)) for n in range(4)]
    limiter = parts[0].processors["memory_limiter"].model_dump()
    assert (limiter["limit_mib"], limiter["spike_limit_mib"], limiter["limit_percentage"]) == (250, 50, 0)
    assert {Path(part.exporters["file"].model_dump()["path"]).name for part in parts} == {
        "telemetry.json", "telemetry.worker1.json", "telemetry.worker2.json", "telemetry.worker3.json",
    }  # fmt: skip
    assert all(part.engine is not None and part.engine.max_agents == 2750 for part in parts)
    assert "api" not in parts[0].extensions
    assert "sqlite" in parts[0].extensions


def test_a_configuration_arrives_as_it_was(tmp_path: Path) -> None:
    """Built-in thresholds are in read-only tables, which no standard way of writing objects down knows."""
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    del tree["processors"]["agent_performance"]["profiles"]
    path.write_text(json.dumps(tree))
    start = Start("1", 1, 2, load_config([path]), is_colored=False)
    assert Start.read(start.frame()[6:]) == start


def test_a_socket_file_is_of_the_first_worker(tmp_path: Path) -> None:
    """It cannot be shared as a port can."""
    protocols = {
        "grpc": {"endpoint": str(tmp_path / "otlp.sock"), "transport": "unix"},
        "http": {"endpoint": "127.0.0.1:0"},
    }
    with supervised(change(write_workers(tmp_path, 2), receivers=protocols)) as collector:
        api = Api(collector.endpoints["api"])
        with GrpcClient(f"unix:{collector.endpoints['otlp/grpc']}") as client:
            client.export(Signal.TRACES, otlp.tasks("A", 3))
        for _ in range(8):
            assert post(collector.endpoints["otlp/http"], Signal.TRACES, otlp.tasks("B", 1))[0] == 200
        assert (api.tasks_of("A"), api.tasks_of("B")) == (3, 8)
        first, second = (worker["status"]["endpoints"] for worker in api.status()["workers"])
        assert set(first) == {"otlp/grpc", "otlp/http"}
        assert set(second) == {"otlp/http"}
