"""The configuration for more than one machine, as it is shipped, with other ports."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.web import build_api

from .certificates import Listening, Place

FILE = Path(__file__).parents[2] / "collector-config" / "bmad-collector-production.yaml"

PORTS = [
    "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
    "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
    "extensions.api.endpoint=127.0.0.1:0",
    "extensions.health_check.endpoint=127.0.0.1:0",
]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_only_who_has_the_token_may_send_and_only_over_tls(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path)
    environ = {
        "BMAD_OTEL_CERT": str(place.cert),
        "BMAD_OTEL_CERT_KEY": str(place.key),
        "BMAD_OTEL_TOKEN": "s3cret",
        "BMAD_OTEL_BACKEND": "127.0.0.1:1",
        "BMAD_OTEL_BACKEND_TOKEN": "other",
        "BMAD_OTEL_STATE": str(tmp_path / "state.db"),
    }
    caplog.set_level(logging.DEBUG, "bmad_otel")
    with Collector(load_config([FILE], environ, settings=PORTS), build_api=build_api) as collector:
        sender = Listening(protocol, collector.endpoints[f"otlp/{protocol}"])
        ca = place.ca.read_bytes()
        assert sender.send(ca, headers={"authorization": "Bearer s3cret"}) == "ok"
        assert sender.send(ca, headers={"authorization": "Bearer wr0ng"}) == "unauthenticated"
        assert sender.send(ca) == "unauthenticated"
        assert sender.send(None, headers={"authorization": "Bearer s3cret"}) == "refused"
        assert "health_check" in collector.endpoints
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text
