"""The receiving edge: OTLP over gRPC and HTTP, request bodies in, protocol answers out.

A receiver has ``start()``, ``stop(timeout_s)`` and ``endpoint``. It bounds and decompresses a body, turns JSON into
protobuf bytes, hands the bytes to a `Consumer` and translates what comes back into the protocol. It does not decode.
`AsgiServer` runs any ASGI application in a thread; the JSON API uses it too.
"""

from .config import GrpcConfig, HttpConfig, OtlpReceiverConfig, ProtocolsConfig
from .consumer import ACCEPTED, Accepted, Consumer
from .grpc_server import GrpcReceiver
from .http_app import build_otlp_app
from .http_server import AsgiServer, HttpReceiver
from .otlp_json import to_protobuf

__all__ = [
    "OtlpReceiverConfig", "ProtocolsConfig", "GrpcConfig", "HttpConfig",
    "Consumer", "Accepted", "ACCEPTED",
    "GrpcReceiver", "HttpReceiver", "AsgiServer", "build_otlp_app",
    "to_protobuf",
]  # fmt: skip
