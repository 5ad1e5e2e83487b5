"""The API with TLS and tokens, asked by the command line and by the monitor."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_otel.monitor._api import Api
from bmad_otel.monitor._host import Unanswered
from bmad_processor.cli.source import Failed, ask
from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.web import build_api
from tests.run.collectors import write_config

from .certificates import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def endpoint(tmp_path: Path, place: Place) -> Iterator[str]:
    """A real collector, its API behind TLS and a token."""
    path = write_config(tmp_path)
    tree: dict[str, Any] = json.loads(path.read_text())
    tree["extensions"]["api"] |= {"tls": place.server(), "auth": {"authenticator": "bearertokenauth"}}
    tree["extensions"]["bearertokenauth"] = {"token": "s3cret"}
    tree["service"]["extensions"].append("bearertokenauth")
    for protocol in tree["receivers"]["otlp"]["protocols"].values():
        protocol["auth"] = {"authenticator": "bearertokenauth"}
    path.write_text(json.dumps(tree))
    with Collector(load_config([path]), build_api=build_api) as collector:
        yield collector.endpoints["api"]


def test_everybody_but_probes_needs_the_token(endpoint: str, place: Place) -> None:
    context = ssl.create_default_context(cafile=str(place.ca))
    connection = http.client.HTTPSConnection(endpoint, timeout=10, context=context)
    for path, token, status in (
        ("/healthz", None, 200),
        ("/api/v1/status", None, 401),
        ("/api/v1/nothing", None, 401),
        ("/", "wrong", 401),
        ("/api/v1/status", "s3cret", 200),
        ("/api/v1/nothing", "s3cret", 404),
    ):
        connection.request("GET", path, headers={} if token is None else {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = json.loads(response.read())
        assert response.status == status, path
        if status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert body["error"] == "unauthenticated"
    body = json.dumps({"thresholds": {}})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer s3cret", "Origin": f"https://{endpoint}"}
    connection.request("PUT", "/api/v1/profiles/Architect", body, headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_the_command_line_asks(endpoint: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"https://{endpoint}"
    with pytest.raises(Failed, match=r"not trusted .*BMAD_OTEL_API_CA_FILE"):
        ask(url, "status")
    monkeypatch.setenv("BMAD_OTEL_API_CA_FILE", str(place.ca))
    with pytest.raises(Failed, match="BMAD_OTEL_API_TOKEN"):
        ask(url, "status")
    monkeypatch.setenv("BMAD_OTEL_API_TOKEN", "s3cret")
    assert ask(url, "status")["endpoints"]["api"] == endpoint
    program = Path(sys.executable).with_name("bmad-otel")
    for arguments in (["system-summary", "--json", "--endpoint", url], ["list-profiles", "--json", "--endpoint", url]):
        shown = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)
    monkeypatch.setenv("BMAD_OTEL_API_CA_FILE", "/nowhere.pem")
    with pytest.raises(Failed, match="nowhere"):
        ask(url, "status")


def test_the_monitor_asks(endpoint: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(f"https://{endpoint}")
    with pytest.raises(ConnectionError):
        api.get("status")
    monkeypatch.setenv("BMAD_OTEL_API_CA_FILE", str(place.ca))
    with pytest.raises(Unanswered, match="authentication is required"):
        api.get("status")
    monkeypatch.setenv("BMAD_OTEL_API_TOKEN", "s3cret")
    assert api.get("status")["endpoints"]["api"] == endpoint
    monkeypatch.setenv("BMAD_OTEL_API_CA_FILE", "/nowhere.pem")
    with pytest.raises(ConnectionError, match="BMAD_OTEL_API_CA_FILE"):
        api.get("status")
