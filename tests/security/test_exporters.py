"""Exporters that say who they are, to a receiver that asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.security import Authenticator, BasicAuth, BasicAuthConfig, BearerTokenAuth, BearerTokenAuthConfig
from tests.edges.peers import Recorder, eventually, spans_body

from .certificates import Listening, listening


def collector_config(folder: Path, protocol: str, endpoint: str, extension: dict[str, Any]) -> Path:
    """A collector that passes on what it gets to ``endpoint``."""
    (kind,) = extension
    exporter = {
        "grpc": {"otlp_grpc": {"endpoint": endpoint, "tls": {"insecure": True}, "auth": {"authenticator": kind}}},
        "http": {"otlp_http": {"endpoint": f"http://{endpoint}", "auth": {"authenticator": kind}}},
    }[protocol]
    tree = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "exporters": exporter,
        "extensions": extension,
        "service": {"extensions": [kind], "pipelines": {"traces": {"receivers": ["otlp"], "exporters": [*exporter]}}},
    }
    path = folder / "collector.yaml"
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("kind", ["bearertokenauth", "basicauth"])
def test_what_an_exporter_sends_a_receiver_lets_in(tmp_path: Path, protocol: str, kind: str) -> None:
    authenticator: Authenticator
    if kind == "basicauth":
        authenticator = BasicAuth(BasicAuthConfig(htpasswd={"inline": "agent:pä ss"}))
        extension: dict[str, Any] = {"client_auth": {"username": "agent", "password": "pä ss"}}
    else:
        authenticator = BearerTokenAuth(BearerTokenAuthConfig(token="s3cret"))
        (tmp_path / "token").write_text("s3cret\nnext\n")
        extension = {"filename": str(tmp_path / "token")}
    consumer = Recorder()
    with listening(protocol, consumer, authenticator=authenticator) as backend:
        path = collector_config(tmp_path, protocol, backend.endpoint, {kind: extension})
        with Collector(load_config([path])) as collector:
            body = spans_body()
            assert Listening("grpc", collector.endpoints["otlp/grpc"]).send(None, body=body) == "ok"
            eventually(lambda: [got for _, got in consumer.got] == [body])
