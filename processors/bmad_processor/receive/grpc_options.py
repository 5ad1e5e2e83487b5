"""From the configuration of OTLP/gRPC to the arguments of grpcio's core."""

from __future__ import annotations

from typing import Final

from .config import GrpcConfig

_MS: Final = 1_000_000

_WINDOW_BYTES: Final = 256 * 1024
"""What a sender may send before it is asked to go on."""

_MAX_PENDING: Final = 10_000
"""Calls that wait in the core. Above it the core answers RESOURCE_EXHAUSTED, which makes senders drop what they have;
by default it begins with that at 1000."""

_HANDSHAKE_MS: Final = 10_000
"""A client that connects and says nothing would keep its connection for two minutes."""


def options(config: GrpcConfig, *, reuse_port: bool) -> tuple[tuple[str, int], ...]:
    """For `grpc.server`. Every one is set, whatever the core's default is: it has changed between versions."""
    server, policy = config.keepalive.server_parameters, config.keepalive.enforcement_policy
    optional = {
        "grpc.max_connection_age_ms": server.max_connection_age,
        "grpc.max_connection_age_grace_ms": server.max_connection_age_grace,
    }
    return (
        # by default a second server binds the same port silently and gets half of the requests
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", config.max_recv_msg_size),
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        # windows that grow with the link's speed also grow for calls that wait: 1 GiB instead of 290 MiB for twenty
        # waiting requests of 60 MiB
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", _ms(server.max_connection_idle)),
        ("grpc.keepalive_time_ms", _ms(server.time)),
        ("grpc.keepalive_timeout_ms", _ms(server.timeout)),
        ("grpc.http2.ping_timeout_ms", _ms(server.timeout)),  # the one that counts; without it, a minute
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(policy.min_time)),
        ("grpc.keepalive_permit_without_calls", int(policy.permit_without_stream)),
        *((name, _ms(value)) for name, value in optional.items() if value is not None),
    )


def _ms(value_ns: int) -> int:
    return max(1, value_ns // _MS)
