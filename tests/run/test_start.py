"""What keeps a collector from starting is one line and an exit code, and nothing half started stays behind."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import pytest

from bmad_processor.errors import StartError
from bmad_processor.store import SqliteStore

from .collectors import Api, Process, embedded, write_config

BROKEN = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: nowhere
processors:
  agent_performance:
    monitoring_interval: 5
    window: 1m
exporters:
  kafka: {}
extensions: {sqlite: {path: state.db}}
service:
  extensions: [sqlite]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [agent_performance]
      exporters: [debug]
"""


def _fails(config: Path, log: Path) -> tuple[int, list[str]]:
    """Exit code and everything it said."""
    with Process(config, log=log) as process:
        return process.wait(), process.log.splitlines()


@pytest.mark.parametrize("part", ["grpc", "http", "api"])
def test_a_port_in_use(tmp_path: Path, part: str) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        if part == "api":
            tree["extensions"]["api"]["endpoint"] = endpoint
        else:
            tree["receivers"]["otlp"]["protocols"][part]["endpoint"] = endpoint
        path.write_text(json.dumps(tree))
        code, (line,) = _fails(path, tmp_path / "log")
    assert code == 1
    assert endpoint in line


def test_the_page_nobody_asked_for_is_missed_only_by_a_collector_that_runs(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    tree["service"]["telemetry"] = {}
    with socket.socket() as taken, socket.socket() as page:
        with contextlib.suppress(OSError):  # then somebody else has it
            page.bind(("127.0.0.1", 8888))
            page.listen()
        path.write_text(json.dumps(tree))
        with Process(path, log=tmp_path / "log") as process:
            process.endpoints()
            assert "no metrics page: localhost:8888 is taken" in process.log
            assert process.stop() == 0
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        tree["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = endpoint
        path.write_text(json.dumps(tree))
        code, (line,) = _fails(path, tmp_path / "log")
    assert code == 1
    assert endpoint in line


def test_a_failed_start_gives_everything_back(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        tree["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = f"127.0.0.1:{taken.getsockname()[1]}"
        path.write_text(json.dumps(tree))
        with pytest.raises(StartError), embedded(path):
            pass
    # the same files and the same port can be had now
    with embedded(path) as collector:
        assert Api(collector.endpoints["api"]).get("/api/v1/agents") == {"agents": []}


def test_a_configuration_with_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    code, lines = _fails(path, tmp_path / "log")
    assert code == 2
    places = [line.partition(" ")[0].rstrip(":") for line in lines]
    assert places == [f"{path}:{number}" for number in (5, 8, 9, 11, 19)]
    assert "1m30s" in lines[1], "says what was expected"


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    code, (line,) = _fails(tmp_path / "missing.yaml", tmp_path / "log")
    assert code == 2
    assert "missing.yaml" in line


def test_state_of_another_collector(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with Process(path, log=tmp_path / "owner.log") as owner:
        owner.endpoints()
        code, (line,) = _fails(path, tmp_path / "log")
        assert code == 1
        assert f"process {owner.pid}" in line
        assert owner.is_running
        assert owner.stop() == 0


def test_state_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database\n" * 1000)
    code, (line,) = _fails(write_config(tmp_path), tmp_path / "log")
    assert code == 1
    assert "state.db" in line


def test_without_a_store_nothing_is_left_out_silently(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    tree["service"]["extensions"] = ["api"]
    path.write_text(json.dumps(tree))
    code, lines = _fails(path, tmp_path / "log")
    assert code == 2
    assert any("agent_performance" in line and "sqlite" in line for line in lines)
    assert any("api" in line and "sqlite" in line for line in lines)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    exporters = {"file": {"path": str(tmp_path / "no" / "such" / "folder")}}
    code, (line,) = _fails(write_config(tmp_path, exporters=exporters), tmp_path / "log")
    assert code == 1
    assert "folder" in line
    with SqliteStore(str(tmp_path / "state.db")) as store:
        assert store.load().partitions == {}
