"""Changing what a running collector judges by: over its API, and by editing its files."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.model import Signal
from tests.run import otlp
from tests.run.collectors import FAST, Api, Process, embedded, eventually, learned, write_config
from tests.run.otlp import GrpcClient

OWNER = """\
# Watched closely.
agent: ProductOwner
thresholds:
  response_time: {warning: 30s, critical: 60s}  # tasks take a second
  error_rate: {warning: null, critical: null, emergency: null}
"""


def config_of(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "owner.yaml").write_text(OWNER)
    return write_config(tmp_path, performance={**FAST, "profiles": ["profiles"]})


def put(
    endpoint: str, path: str, body: object, *, method: str = "PUT", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, f"/api/v1/{path}", content, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """API of a collector in this process, and its directory of profiles."""
    folder = tmp_path_factory.mktemp("running")
    config = config_of(folder)
    (folder / "profiles" / "architect.yaml").write_text("agent: Architect\ngroup: design\n")
    (folder / "profiles" / "design.yaml").write_text("group: design\nthresholds: {queue_size: {warning: 7}}\n")
    with embedded(config) as collector:
        yield collector.endpoints["api"], folder / "profiles"


def test_a_change_is_judged_by_from_the_next_pane_on_and_forgets_nothing(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    file = tmp_path / "profiles" / "owner.yaml"
    with Process(config, log=tmp_path / "first.log") as collector:
        endpoints = collector.endpoints()
        api = Api(endpoints["api"])
        with GrpcClient(endpoints["otlp/grpc"]) as client:

            def said(status: str) -> bool:
                client.export(Signal.TRACES, otlp.tasks("ProductOwner", 2))
                return [alert["status"] for alert in api.alerts()] == [status]

            eventually(lambda: not said("") and api.tasks_of("ProductOwner"))
            eventually(lambda: not said("") and learned(config, "ProductOwner").get("throughput", (0,))[0] >= 2)
            before, tasks = learned(config, "ProductOwner"), api.tasks_of("ProductOwner")
            assert api.alerts() == []

            status, answer = put(
                endpoints["api"],
                "profiles/product-owner?persist=true",
                {"thresholds": {"throughput": {"warning": 1e6}}},
            )
            assert (status, answer["is_persisted"], answer["file"]) == (200, True, str(file))
            assert answer["origins"]["thresholds"]["throughput"] == {"warning": "agent"}
            eventually(lambda: said("firing"))
            assert api.get("/api/v1/agents/ProductOwner")["thresholds"]["throughput"] == {"warning": 1e6}
            since = api.get("/api/v1/system-summary")["since"]

            # a person takes it back with an editor
            file.write_text(OWNER)
            eventually(lambda: said("resolved"))
            assert api.status()["profiles"]["reloads"] == 1
            assert "profile files changed and were read again: 1 of 1 agents differ" in collector.log
            after = learned(config, "ProductOwner")
            assert all(after[name][0] >= n for name, (n, _) in before.items())
            assert api.tasks_of("ProductOwner") >= tasks
            assert api.get("/api/v1/system-summary")["since"] == since

            # a mistake changes nothing
            file.write_text(OWNER.replace("critical: 60s", "critical: 6s").replace("agent:", "agnet:"))
            wrong = eventually(lambda: api.status()["profiles"]["problems"])
            assert {(problem["line"], problem["path"]) for problem in wrong} == {
                (2, "agnet"), (2, "agent"), (4, "thresholds::response_time::critical"),
            }  # fmt: skip
            assert api.status()["profiles"]["problems_since"] is not None
            assert api.get("/api/v1/profiles/ProductOwner")["thresholds"]["response_time"]["critical"] == 60
            assert "owner.yaml:2: agnet: unknown key 'agnet'" in collector.log

            # nor does a change over the API hide it
            status, answer = put(endpoints["api"], "profiles/RnD?persist=true", {"monitoring_enabled": False})
            assert (status, answer["error"]) == (422, "invalid_profile")
            assert not (tmp_path / "profiles" / "rnd.yaml").exists()
            file.write_text(OWNER)
            eventually(lambda: not api.status()["profiles"]["problems"])
            status, answer = put(endpoints["api"], "profiles/RnD?persist=true", {"monitoring_enabled": False})
            assert (status, answer["file"]) == (200, str(tmp_path / "profiles" / "rnd.yaml"))
            status, answer = put(endpoints["api"], "profiles/Scrummaster", {"monitoring_enabled": False})
            assert (status, answer["is_persisted"], answer["file"]) == (200, False, None)
        assert collector.stop() == 0
    with Process(config, log=tmp_path / "second.log") as collector:
        api = Api(collector.endpoints()["api"])
        assert api.get("/api/v1/profiles/RnD")["monitoring_enabled"] is False
        assert api.get("/api/v1/profiles/Scrummaster")["monitoring_enabled"] is True, "registered only, so forgotten"


def test_get_says_where_each_value_comes_from(running: tuple[str, Path]) -> None:
    api = Api(running[0])
    row = api.get("/api/v1/profiles/architect-agent")
    assert (row["agent_name"], row["group"], row["has_profile"]) == ("Architect", "design", True)
    assert row["thresholds"]["queue_size"] == {"warning": 7, "critical": 500, "emergency": 1000}
    assert row["origins"]["thresholds"]["queue_size"] == {
        "warning": "group", "critical": "builtin", "emergency": "builtin",
    }  # fmt: skip
    assert (row["scaling"]["cpu_threshold"], row["origins"]["scaling"]["cpu_threshold"]) == (75, "builtin")
    listed = api.get("/api/v1/profiles")
    assert listed["profiles"][0] == row
    assert listed["default"] == api.get("/api/v1/profiles/*")
    assert api.get("/api/v1/profiles/DataEngineer")["has_profile"] is False
    status, body = put(running[0], "profiles/Architct", b"", method="GET")
    assert (status, body["error"], body["suggestions"][0]) == (404, "unknown_agent", "Architect")


def test_a_registered_profile_lies_over_the_files(running: tuple[str, Path]) -> None:
    endpoint, folder = running
    body = {"thresholds": {"queue_size": {"warning": 600}}, "scaling": {"max_instances": 9}}
    status, row = put(endpoint, "profiles/Architect?persist=false", body)
    assert status == 200
    assert row["thresholds"]["queue_size"] == {"warning": 600, "emergency": 1000}
    assert [one["reason"] for one in row["dropped"]] == ["warning 600 is above critical 500 of the built-in thresholds"]
    assert row["origins"]["scaling"]["max_instances"] == "registered"
    # merged with what was registered before; then the file says something newer about the same key
    status, row = put(endpoint, "profiles/Architect", {"scaling": {"min_instances": 2}})
    assert (row["scaling"]["min_instances"], row["scaling"]["max_instances"]) == (2, 9)
    status, row = put(endpoint, "profiles/Architect?persist=true", {"scaling": {"max_instances": 5}})
    assert (row["scaling"]["max_instances"], row["origins"]["scaling"]["max_instances"]) == (5, "agent")
    assert (row["scaling"]["min_instances"], row["origins"]["scaling"]["min_instances"]) == (2, "registered")
    assert (folder / "architect.yaml").read_text() == (
        "agent: Architect\ngroup: design\n\nscaling:\n  max_instances: 5\n"
    )
    status, row = put(endpoint, "profiles/Architect?replace=true", {"monitoring_enabled": True})
    assert row["scaling"]["min_instances"] == 1
    assert Api(endpoint).status()["profiles"]["registered"] == ["Architect"]
    status, row = put(endpoint, "profiles/Architect", {"monitoring_enabled": "inherit"})
    assert status == 200
    assert Api(endpoint).status()["profiles"]["registered"] == []


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "error"),
    [
        ("profiles/A", {}, {"Content-Type": "text/plain"}, 415, "not_json"),
        ("profiles/A", {}, {"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ("profiles/A", {}, {"Origin": "null"}, 403, "foreign_origin"),
        ("profiles/A", {}, {"Host": "evil.example"}, 421, "foreign_host"),
        ("profiles/A", b" " * 65537, {}, 413, "too_large"),
        ("profiles/A", b"{", {}, 400, "bad_json"),
        ("profiles/A", b"[]", {}, 400, "bad_json"),
        ("profiles/A", b'{"scaling": {}, "scaling": {}}', {}, 400, "bad_json"),
        ("profiles/A", b'{"thresholds": {"queue_size": {"info": NaN}}}', {}, 400, "bad_json"),
        ("profiles/A", b"[" * 60000, {}, 400, "bad_json"),
        ("profiles/A", b"\xff", {}, 400, "bad_json"),
        ("profiles/A?persist=yes", {}, {}, 400, "bad_parameter"),
        ("profiles/A?persits=true", {}, {}, 400, "bad_parameter"),
        ("profiles/%20", {}, {}, 400, "bad_parameter"),
        ("profiles/A", {"thresholds": {"cpu_usage": {"warning": 90, "critical": 80}}}, {}, 422, "invalid_profile"),
        ("profiles/A", {"thresholds": {"cpu_usage": {"warning": [1]}}}, {}, 422, "invalid_profile"),
        ("profiles/A", {"thresholds": {"cpu_usage": {"warning": 10**400}}}, {}, 422, "invalid_profile"),
        ("profiles/A", {"thresholds": {"cpu_usage": {"warning": "${file:/etc/passwd}"}}}, {}, 422, "invalid_profile"),
        ("profiles/A", {"agent": "B"}, {}, 422, "invalid_profile"),
        ("agents", {}, {}, 405, "method_not_allowed"),
        ("profiles", {}, {}, 405, "method_not_allowed"),
    ],
)
def test_what_is_refused(
    running: tuple[str, Path], path: str, body: object, headers: dict[str, str], status: int, error: str
) -> None:
    before = Api(running[0]).get("/api/v1/profiles")
    got, answer = put(running[0], path, body, headers=headers)
    assert (got, answer["error"]) == (status, error)
    assert "root:" not in answer["detail"]
    assert Api(running[0]).get("/api/v1/profiles") == before


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_nothing_but_put_changes_a_profile(running: tuple[str, Path], method: str) -> None:
    assert put(running[0], "profiles/A", {}, method=method)[0] == 405


def test_pages_of_the_api_itself_may(running: tuple[str, Path]) -> None:
    assert put(running[0], "profiles/A", {}, headers={"Origin": f"http://{running[0]}"})[0] == 200


def test_without_a_directory_nothing_can_be_kept(tmp_path: Path) -> None:
    with embedded(write_config(tmp_path)) as collector:  # names one file, and no directory
        status, body = put(collector.endpoints["api"], "profiles/New?persist=true", {"monitoring_enabled": False})
        assert (status, body["error"]) == (409, "cannot_persist")
        assert "agent_performance::profiles" in body["detail"]
        assert put(collector.endpoints["api"], "profiles/New", {"monitoring_enabled": False})[0] == 200
        assert put(collector.endpoints["api"], "profiles/*?persist=true", {"scaling": {"max_instances": 4}})[0] == 200
    assert '"max_instances": 4' in (tmp_path / "everyone.yaml").read_text().replace(
        "max_instances:", '"max_instances":'
    )


def test_a_store_that_is_locked_gets_the_profiles_later(tmp_path: Path) -> None:
    with embedded(config_of(tmp_path)) as collector:
        endpoint = collector.endpoints["api"]
        with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            status, row = put(endpoint, "profiles/ProductOwner", {"scaling": {"max_instances": 8}})
            assert (status, row["scaling"]["max_instances"]) == (200, 8)
            other.execute("ROLLBACK")
        other.close()
        eventually(lambda: Api(endpoint).get("/api/v1/profiles/ProductOwner")["scaling"]["max_instances"] == 8)
