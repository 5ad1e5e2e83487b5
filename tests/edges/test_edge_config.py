"""Configuration of receivers and exporters: the Collector's keys, defaults, and refusals in words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bmad_processor.config.schema import TYPES
from bmad_processor.emit import FileConfig, OtlpGrpcConfig, OtlpHttpConfig, RetryConfig
from bmad_processor.model import Signal
from bmad_processor.receive import GrpcConfig, HttpConfig, OtlpReceiverConfig

MIB = 2**20


def test_present_but_empty_is_enabled_and_absent_is_off() -> None:
    config = OtlpReceiverConfig.model_validate({"protocols": {"grpc": None}})
    assert config.protocols.grpc == GrpcConfig()
    assert config.protocols.http is None
    config = OtlpReceiverConfig.model_validate({"protocols": {"http": {}, "grpc": {"endpoint": "[::1]:1"}}})
    assert config.protocols.http == HttpConfig()
    assert config.protocols.grpc is not None
    assert config.protocols.grpc.endpoint == "[::1]:1"


@pytest.mark.parametrize("value", [{"protocols": {}}, {"protocols": None}])
def test_at_least_one_protocol(value: Any) -> None:
    with pytest.raises(ValidationError, match="no protocol is enabled"):
        OtlpReceiverConfig.model_validate(value)


def test_defaults() -> None:
    assert (GrpcConfig().endpoint, GrpcConfig().max_recv_msg_size, GrpcConfig().threads) == (
        "localhost:4317", 64 * MIB, None,
    )  # fmt: skip
    assert (HttpConfig().endpoint, HttpConfig().max_request_body_size) == ("localhost:4318", 64 * MIB)


def test_message_size_in_mib() -> None:
    assert GrpcConfig.model_validate({"max_recv_msg_size_mib": 8}) == GrpcConfig(max_recv_msg_size=8 * MIB)
    assert GrpcConfig.model_validate({"max_recv_msg_size": "8MiB"}) == GrpcConfig(max_recv_msg_size=8 * MIB)


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (GrpcConfig, {"max_recv_msg_size_mib": 8, "max_recv_msg_size": "8MiB"}),
        (GrpcConfig, {"max_recv_msg_size_mib": "8"}),
        (GrpcConfig, {"max_recv_msg_size_mib": 4096}),
        (GrpcConfig, {"max_recv_msg_size": 0}),
        (GrpcConfig, {"threads": 0}),
        (GrpcConfig, {"endpoint": ":4317"}),
        (HttpConfig, {"unknown": 1}),
        (OtlpGrpcConfig, {}),
        (OtlpGrpcConfig, {"endpoint": "ftp://x:1"}),
        (OtlpGrpcConfig, {"endpoint": "x:1", "timeout": 0}),
        (OtlpGrpcConfig, {"endpoint": "x:1", "compression": "snappy"}),
        (OtlpHttpConfig, {}),
        (OtlpHttpConfig, {"endpoint": "localhost:4318"}),
        (FileConfig, {"path": ""}),
        (FileConfig, {"path": "x", "max_megabytes": 0}),
        (RetryConfig, {"initial_interval": 5}),
    ],
)
def test_refusals(model: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(value)


@pytest.mark.parametrize(
    ("endpoint", "insecure", "target", "is_insecure"),
    [("h:1", False, "h:1", False), ("h:1", True, "h:1", True), ("http://h:1", False, "h:1", True),
     ("https://h:1/", True, "h:1", False), ("[::1]:4317", True, "[::1]:4317", True)],
)  # fmt: skip
def test_grpc_target(endpoint: str, insecure: bool, target: str, is_insecure: bool) -> None:
    config = OtlpGrpcConfig.model_validate({"endpoint": endpoint, "tls": {"insecure": insecure}})
    assert (config.target, config.is_insecure) == (target, is_insecure)


def test_http_urls() -> None:
    config = OtlpHttpConfig.model_validate({"endpoint": "http://h/x/", "logs_endpoint": "https://l/own"})
    assert [config.url(signal) for signal in Signal] == [
        "http://h/x/v1/traces",
        "http://h/x/v1/metrics",
        "https://l/own",
    ]


def test_every_key_is_documented() -> None:
    for model in {*TYPES["exporters"].values(), GrpcConfig, HttpConfig, OtlpReceiverConfig}:
        assert all(field.description for field in model.model_fields.values()), model
