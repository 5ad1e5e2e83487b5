"""The API over a real socket."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bmad_processor.read_model import ReadModel
from bmad_processor.receive.http_server import AsgiServer
from bmad_processor.store import Commit, SqliteStore, StoreReader
from bmad_processor.web import build_api
from bmad_processor.web.json_response import FiniteJsonResponse

from .conftest import EVIL


def ask(
    endpoint: str, path: str, *, method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, Any], http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(endpoint, timeout=10)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body else {}, response
    finally:
        connection.close()


def test_system_summary(endpoint: str) -> None:
    status, body, response = ask(endpoint, "/api/v1/system-summary")
    assert status == 200
    assert body["cpu_usage"] == 90
    assert body["memory_usage"] is None
    assert body["active_agents"] == body["agents_total"] == 5
    assert body["firing_alerts"]["critical"] == 1
    assert body["dropped"] == {"late": 3}
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"] == "application/json"


def test_agents_those_in_trouble_first(endpoint: str) -> None:
    _, body, _ = ask(endpoint, "/api/v1/agents")
    rows = body["agents"]
    assert [row["name"] for row in rows] == ["ProductOwner", EVIL, "Architect", "Architect", "team/x"]
    first = rows[0]
    assert (first["level"], first["instances"], first["p95_s"], first["error_rate"]) == ("critical", 1, 2.0, 25.0)
    assert not any(row["has_profile"] for row in rows)
    assert [row["namespace"] for row in rows[2:4]] == ["bank", "shop"]


@pytest.mark.parametrize("name", ["ProductOwner", "product-owner", "ProductOwnerAgent", "PRODUCT_OWNER"])
def test_an_agent_under_any_name(endpoint: str, name: str) -> None:
    status, body, _ = ask(endpoint, f"/api/v1/agents/{name}")
    assert (status, body["agent_name"], body["has_profile"]) == (200, "ProductOwner", False)
    assert [alert["alert_id"] for alert in body["alerts"]] == ["ProductOwner_cpu_usage_1640995200", "old"]


def test_an_agent_in_two_namespaces(endpoint: str) -> None:
    _, latest, _ = ask(endpoint, "/api/v1/agents/Architect")
    assert (latest["namespace"], latest["also_in"]) == ("shop", ["bank"])
    _, other, _ = ask(endpoint, "/api/v1/agents/Architect?namespace=bank")
    assert (other["namespace"], other["also_in"]) == ("bank", [])


def test_names_that_need_quoting(endpoint: str) -> None:
    assert ask(endpoint, "/api/v1/agents/team%2Fx")[1]["agent_name"] == "team/x"
    # names are made safe before they are stored, so a raw control character finds nothing
    status, body, _ = ask(endpoint, "/api/v1/agents/" + quote(EVIL, safe=""))
    assert (status, body["error"]) == (404, "unknown_agent")


def test_the_system_is_the_host(endpoint: str) -> None:
    _, body, _ = ask(endpoint, "/api/v1/agents/system")
    assert (body["agent_name"], body["host"]) == ("system", "node1")


def test_an_unknown_agent_with_near_names(endpoint: str) -> None:
    status, body, _ = ask(endpoint, "/api/v1/agents/ProdutcOwner")
    assert status == 404
    assert body == {
        "error": "unknown_agent",
        "detail": "unknown agent: ProdutcOwner",
        "suggestions": ["ProductOwner"],
    }


def test_history(endpoint: str) -> None:
    _, body, _ = ask(endpoint, "/api/v1/agents/ProductOwner/history?metric=cpu_usage&limit=2")
    assert body["points"] == [{"timestamp": 4.0, "value": 4.0, "n": 4}, {"timestamp": 5.0, "value": 5.0, "n": 5}]
    assert body["unit"] == "%"
    status, body, _ = ask(endpoint, "/api/v1/agents/ProductOwner/history?metric=cpu")
    assert (status, body["error"], body["suggestions"]) == (404, "unknown_metric", ["cpu_usage"])
    assert ask(endpoint, "/api/v1/agents/Nobody/history?metric=cpu_usage")[0] == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {"ProductOwner_cpu_usage_1640995200", "old", "e", "gone"}),
        ("?agent=product-owner&status=firing", {"ProductOwner_cpu_usage_1640995200"}),
        ("?level=critical", {"ProductOwner_cpu_usage_1640995200"}),
        ("?status=resolved", {"old"}),
        # its alerts outlive the agent
        ("?agent=LongGone", {"gone"}),
        ("?agent=Architect", set()),
    ],
)
def test_alerts(endpoint: str, query: str, ids: set[str]) -> None:
    status, body, _ = ask(endpoint, "/api/v1/alerts" + query)
    assert status == 200
    assert {alert["alert_id"] for alert in body["alerts"]} == ids
    assert body["is_truncated"] is False


def test_alerts_of_an_unknown_agent(endpoint: str) -> None:
    assert ask(endpoint, "/api/v1/alerts?agent=Architekt")[1]["suggestions"] == ["Architect"]
    assert ask(endpoint, "/api/v1/alerts?limit=1")[1]["is_truncated"] is True


def test_scaling(endpoint: str) -> None:
    _, body, _ = ask(endpoint, "/api/v1/scaling")
    assert body["hints"][0]["desired"] == 2
    assert len(body["changes"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "alerts?level=loud", "alerts?status=open", "alerts?limit=0", "alerts?limit=x", "alerts?limit=1000000",
        "alerts?limit=%D9%A1", "alerts?agnet=A", "agents?limit=3", "agents/ProductOwner/history",
    ],
)  # fmt: skip
def test_bad_parameters(endpoint: str, path: str) -> None:
    status, body, _ = ask(endpoint, "/api/v1/" + path)
    assert (status, body["error"]) == (400, "bad_parameter")


def test_status_and_health(endpoint: str) -> None:
    assert ask(endpoint, "/api/v1/status")[1] == {"version": "0", "pid": 1}
    assert ask(endpoint, "/healthz")[1] == {"status": "ok"}


@pytest.mark.parametrize("path", ["/", "/api/v1/", "/api/v1/nothing", "/api/v1/agents/", "/docs"])
def test_no_such_path(endpoint: str, path: str) -> None:
    status, body, _ = ask(endpoint, path)
    assert (status, body["error"]) == (404, "not_found")


def test_only_reading(endpoint: str) -> None:
    status, body, response = ask(endpoint, "/api/v1/agents", method="POST")
    assert (status, body["error"]) == (405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8320", 200), ("127.0.0.1", 200), ("[::1]:8320", 200), ("collector:8320", 200),
        ("monitor.example:8320", 200), ("MONITOR.EXAMPLE.", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("", 421), ("127.0.0.1.evil.example", 421),
    ],
)  # fmt: skip
def test_foreign_hosts_are_refused(endpoint: str, host: str, status: int) -> None:
    assert ask(endpoint, "/api/v1/status", host=host)[0] == status


def test_the_store_may_come_later(tmp_path: Path) -> None:
    path = str(tmp_path / "late.db")
    server = AsgiServer(build_api(ReadModel(StoreReader(path)), dict), "127.0.0.1:0", name="api")
    server.start()
    try:
        status, body, _ = ask(server.endpoint, "/api/v1/agents")
        assert (status, body["error"]) == (503, "no_store")
        with SqliteStore(path) as store:
            store.commit(Commit(now_ns=time.time_ns()))
            assert ask(server.endpoint, "/api/v1/agents")[1] == {"agents": []}
    finally:
        server.stop(2)


def test_numbers_json_cannot_say() -> None:
    body = FiniteJsonResponse({"a": [float("nan"), 1.5], "b": float("inf")}).body
    assert json.loads(bytes(body)) == {"a": [None, 1.5], "b": None}


def test_the_dashboard_of_bmad_gets_measured_values(endpoint: str) -> None:
    """It had empty lists, constants, and numbers made from the hash of a name."""
    status, body, _ = ask(endpoint, "/api/performance?t=1")
    assert status == 200
    rows = {row["agentId"]: row for row in body["metrics"]}
    owner = rows["ProductOwner"]
    assert (owner["agentName"], owner["cpu"], owner["responseTime"], owner["errorRate"]) == (
        "ProductOwner", 90.0, 2000.0, 25.0,
    )  # fmt: skip
    assert owner["memory"] is None, "nobody measured it"
    assert owner["timestamp"].endswith("Z")
    assert {"shop/Architect", "bank/Architect"} <= rows.keys()
    alert = next(alert for alert in body["alerts"] if alert["id"] == "ProductOwner_cpu_usage_1640995200")
    assert {key: alert[key] for key in ("agentId", "type", "severity", "resolved")} == {
        "agentId": "ProductOwner", "type": "high_cpu", "severity": "high", "resolved": False,
    }  # fmt: skip
    assert ask(endpoint, "/api/v1/performance")[1].keys() == {"metrics", "alerts"}
