"""OTLP/gRPC: a synchronous grpcio server that hands on the bytes it received.

Three decisions, each measured or probed:

* Synchronous: 30 % less CPU per request than `grpc.aio`; and run by the receiving thread itself (`grpc_inline`), unless
  the consumer may wait or threads are asked for.
* No deserializer: the request stays bytes until the pipeline decodes it (with a trimmed descriptor) and passes it on
  unchanged. With grpcio's generated servicer garbage would be answered INTERNAL; here it is INVALID_ARGUMENT.
* `grpc.so_reuseport=0`: by default a second server binds the same port silently and gets half of the requests.

A request that waits for the worker thread has not been read from the network yet, so what waits is bounded by HTTP/2
flow control and not by our memory.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from grpc_status import rpc_status

from bmad_processor.errors import StartError
from bmad_processor.limit import Admission
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint

from . import grpc_inline
from .config import GrpcConfig
from .consumer import Consumer
from .listen import addresses, bind, release
from .otlp_status import answer, partial_success
from .rate_limit import LimitedLog

_LOG: Final = logging.getLogger("bmad_otel.collector")

_SERVICES: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

_MAX_STREAMS: Final = 100
"""Calls in flight per connection; the 101st waits in the client. grpc-go's and nghttp2's customary value."""

_WINDOW_BYTES: Final = 256 * 1024
"""What a call that waits for the worker may hold: usual requests arrive at once, large ones wait in the network."""

_WAITING_THREADS: Final = 16
"""Worker threads when a consumer waits for a disk: so many requests can share one write."""

_SUCCESS: Final = b""
"""Export*ServiceResponse without partial_success encodes to nothing."""

_CODE_NAMES: Final = {code.value[0]: code.name.lower() for code in grpc.StatusCode}

_Behavior = Callable[[bytes, grpc.ServicerContext], bytes]


def _export(signal: Signal, consumer: Consumer, limited: LimitedLog, refused: Counter[str]) -> _Behavior:
    consume = consumer.consume

    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            accepted = consume(signal, body)
        except Exception as error:  # whatever happens to one request, the server lives on
            told = answer(error)
            refused[f"refused_{_CODE_NAMES[told.status.code]}"] += 1
            if told.is_ours:
                limited.error(f"internal error while handling {signal} over gRPC", error)
            context.abort_with_status(rpc_status.to_status(told.status))  # type: ignore[no-untyped-call]
            raise  # not reached: abort_with_status raises
        if not accepted.rejected and not accepted.message:
            return _SUCCESS
        return partial_success(signal, accepted).SerializeToString()

    return export


class _Exports(grpc.GenericRpcHandler):
    """Method path to handler; None for everything else, which grpcio answers UNIMPLEMENTED."""

    def __init__(self, consumer: Consumer) -> None:
        limited = LimitedLog(_LOG)
        self.refused: Counter[str] = Counter()
        self._handlers = {
            path: grpc.unary_unary_rpc_method_handler(  # type: ignore[no-untyped-call]
                _export(signal, consumer, limited, self.refused)
            )
            for signal, path in _SERVICES.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(handler_call_details.method)


def _pool(config: GrpcConfig, consumer: Consumer, admission: Admission) -> ThreadPoolExecutor:
    if config.threads is None and not consumer.may_wait and grpc_inline.is_possible():
        return grpc_inline.InlinePool(
            most=lambda: admission.most_at_once(config.max_recv_msg_size), has_memory=admission.has_memory
        )
    threads = config.threads or (_WAITING_THREADS if consumer.may_wait else 1)
    return ThreadPoolExecutor(threads, thread_name_prefix="otlp-grpc")


class GrpcReceiver:
    """Listens for OTLP/gRPC and hands requests to ``consumer``."""

    def __init__(
        self, config: GrpcConfig, consumer: Consumer, admission: Admission | None = None, *, reuse_port: bool = False
    ) -> None:
        """``reuse_port``: other processes of this collector listen on the same port."""
        self._config = config
        self._reuse_port = reuse_port
        self._pool: Final = _pool(config, consumer, admission or Admission())
        self._exports = _Exports(consumer)
        self._server = grpc.server(  # type: ignore[no-untyped-call] # grpcio ships no types
            self._pool,
            handlers=(self._exports,),
            options=(
                ("grpc.so_reuseport", int(reuse_port)),
                ("grpc.max_receive_message_length", config.max_recv_msg_size),
                ("grpc.max_concurrent_streams", _MAX_STREAMS),
                # with bandwidth probing the windows of calls that only wait grow to megabytes each
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
            ),
        )
        self._port = 0
        self._is_stopped = False

    def counters(self) -> dict[str, int]:
        """``refused_<code>``: requests answered with that gRPC code by us.

        What grpcio refuses itself (too large, unknown method) never reaches us and is not in here.
        """
        return dict(self._exports.refused)

    def shed(self) -> None:
        """Cancels requests that are slow to arrive, for want of memory; their senders send them again."""
        if isinstance(self._pool, grpc_inline.InlinePool):
            self._pool.shed()

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use; port 0 is replaced by the real one after `start`."""
        host, _, port = self._config.endpoint.rpartition(":")
        return f"{host}:{self._port or port}"

    def start(self) -> None:
        """Listen. Raises StartError naming the address when it is taken."""
        self._port = self._bind()
        self._server.start()

    def _bind(self) -> int:
        endpoint = self._config.endpoint
        _, asked = split_endpoint(endpoint)
        if asked and not self._reuse_port:
            # grpcio is content when one of several addresses could be bound; a taken one must be an error
            release(bind(endpoint))
        port = asked
        bound = 0
        for _, host, _ in addresses(endpoint):
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                port = self._server.add_insecure_port(address)
                bound += 1
            except RuntimeError:
                continue  # an address the machine does not have, as in `listen.bind`
        if not bound:
            raise StartError(f"cannot listen on {endpoint}: the address is in use or not of this machine")
        return port

    def stop(self, timeout_s: float) -> None:
        """Take no new requests, finish those in flight within ``timeout_s``, cancel the rest. Safe to call twice."""
        if self._is_stopped:
            return
        self._is_stopped = True
        deadline = time.monotonic() + timeout_s
        is_done = self._server.stop(timeout_s).wait(timeout_s)
        if is_done and time.monotonic() < deadline:
            self._pool.shutdown(wait=True)
        else:
            _LOG.warning("receiver %s: requests in flight were cancelled at shutdown", self.endpoint)
            self._pool.shutdown(wait=False, cancel_futures=True)
