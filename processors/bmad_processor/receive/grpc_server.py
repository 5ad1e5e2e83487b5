"""OTLP/gRPC: a synchronous grpcio server that hands on the bytes it received.

Four decisions, each measured or probed:

* Synchronous: 30 % less CPU per request than `grpc.aio`; and run by the receiving thread itself (`grpc_inline`), unless
  the consumer may wait or threads are asked for.
* No deserializer: the request stays bytes until the pipeline decodes it (with a trimmed descriptor) and passes it on
  unchanged. With grpcio's generated servicer garbage would be answered INTERNAL; here it is INVALID_ARGUMENT.
* What is refused before its body is read gets a streaming handler that never asks for a message, in a thread of its
  own: a refusal does not wait for the worker. grpcio's `maximum_concurrent_rpcs` would answer RESOURCE_EXHAUSTED, which
  tells OTLP senders never to come again.
* grpcio removes a live socket file without asking, so that is looked at first.

A request that waits for its turn has not been read from the network yet, so what waits is bounded by HTTP/2 flow
control and not by our memory. One that is slow to arrive does not hold up others, and is cancelled when too many are.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NoReturn

import grpc
from grpc_status import rpc_status

from bmad_processor.errors import Overloaded, Refused, StartError
from bmad_processor.limit import Admission
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.security import Authenticator, Guard, ServerTls

from .config import GrpcConfig
from .consumer import Consumer
from .grpc_inline import CountingPool, ReceivingPool, is_possible
from .grpc_options import options
from .listen import SocketFile, addresses, bind, clear_socket_file, release
from .otlp_status import answer, partial_success

_LOG: Final = logging.getLogger("bmad_otel.collector")

_SERVICES: Final = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": Signal.TRACES,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": Signal.METRICS,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Signal.LOGS,
}

_BUSY_RETRY_S: Final = 1.0

_WAITING_THREADS: Final = 16
"""Worker threads when a consumer waits for a disk: so many requests can share one write."""

_SUCCESS: Final = b""
"""Export*ServiceResponse without partial_success encodes to nothing."""

_CODE_NAMES: Final = {code.value[0]: code.name.lower() for code in grpc.StatusCode}

_Behavior = Callable[[bytes, grpc.ServicerContext], bytes]


class _Exports(grpc.GenericRpcHandler):
    """Method path to handler; None for everything else, which grpcio answers UNIMPLEMENTED."""

    def __init__(
        self, consumer: Consumer, pool: CountingPool, most: int, guard: Guard | None, admission: Admission
    ) -> None:
        self._pool = pool
        self._most = most
        self._guard = guard
        self._admission = admission
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="otlp-grpc-refuse")
        self.refused: Counter[str] = Counter()
        self._exports = {path: self._export(signal, consumer) for path, signal in _SERVICES.items()}
        self._handlers: dict[str, grpc.RpcMethodHandler] = {
            path: grpc.unary_unary_rpc_method_handler(export)  # type: ignore[no-untyped-call]
            for path, export in self._exports.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        handler = self._handlers.get(handler_call_details.method)
        if handler is None:
            return None
        try:
            if self._guard is not None:
                found = (v for k, v in handler_call_details.invocation_metadata or () if k == self._guard.header)
                value = next(found, None)
                verdict = self._guard.admit(value.decode("latin-1") if isinstance(value, bytes) else value)
                if verdict is not None:
                    return self._apart(self._after(verdict, self._guard, handler_call_details.method))
            if (limited := self._admission.refusal(_SERVICES[handler_call_details.method])) is not None:
                raise limited
            if self._pool.in_hand >= self._most:
                raise Overloaded("too many requests at once", retry_after_s=_BUSY_RETRY_S)
        except Refused as refusal:
            return self._apart(self._refusal(refusal))
        return handler

    def close(self) -> None:
        """Ends the threads; what they still had to refuse is cancelled with its calls."""
        self._aside.shutdown(wait=False, cancel_futures=True)
        if self._guard is not None:
            self._guard.close()

    def _apart(self, behavior: Callable[[Iterator[bytes], grpc.ServicerContext], bytes]) -> grpc.RpcMethodHandler:
        behavior.experimental_thread_pool = self._aside  # type: ignore[attr-defined] # grpcio looks there
        handler: grpc.RpcMethodHandler = grpc.stream_unary_rpc_method_handler(behavior)  # type: ignore[no-untyped-call]
        return handler

    def _refusal(self, error: Refused) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        def refuse(_: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            self._abort(error, context)

        return refuse

    def _after(
        self, verdict: Future[bool], guard: Guard, method: str
    ) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        export, signal = self._exports[method], _SERVICES[method]

        def check_first(bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                if not verdict.result():
                    raise guard.refusal()
                if (limited := self._admission.refusal(signal)) is not None:
                    raise limited
            except Exception as error:  # noqa: BLE001 - see `_export`
                self._abort(error, context)
            return export(next(bodies), context)

        return check_first

    def _export(self, signal: Signal, consumer: Consumer) -> _Behavior:
        consume = consumer.consume

        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                accepted = consume(signal, body)
            except Exception as error:  # noqa: BLE001 - whatever happens to one request, the server lives on
                self._abort(error, context, f"handling {signal}")
            if not accepted.rejected and not accepted.message:
                return _SUCCESS
            return partial_success(signal, accepted).SerializeToString()

        return export

    def _abort(self, error: Exception, context: grpc.ServicerContext, doing: str = "checking who sends") -> NoReturn:
        told = answer(error)
        self.refused[f"refused_{_CODE_NAMES[told.status.code]}"] += 1
        if told.is_ours:
            _LOG.error("internal error while %s over gRPC", doing, exc_info=error)
        context.abort_with_status(rpc_status.to_status(told.status))  # type: ignore[no-untyped-call]
        raise error  # not reached: abort_with_status raises


def _pool(config: GrpcConfig, consumer: Consumer, admission: Admission) -> CountingPool:
    threads = config.threads or (_WAITING_THREADS if consumer.may_wait else 0)
    if is_possible():
        most = config.max_recv_msg_size
        return ReceivingPool(
            threads, most=lambda held: admission.most_at_once(most, held), has_memory=admission.has_memory
        )
    return CountingPool(threads or 1)


class GrpcReceiver:
    """Listens for OTLP/gRPC and hands requests to ``consumer``.

    ``authenticator`` is asked about every request; ``reuse_port`` shares the port with other processes. Raises
    StartError for TLS files that cannot be used.
    """

    def __init__(
        self,
        config: GrpcConfig,
        consumer: Consumer,
        admission: Admission | None = None,
        *,
        authenticator: Authenticator | None = None,
        reuse_port: bool = False,
    ) -> None:
        self._config = config
        self._reuse_port = reuse_port
        self._credentials = None if config.tls is None else ServerTls(config.tls).credentials()
        admission = admission or Admission()
        self._pool: Final = _pool(config, consumer, admission)
        guard = None if authenticator is None else Guard(authenticator)
        self._exports = _Exports(consumer, self._pool, config.max_concurrent_requests, guard, admission)
        self._server = grpc.server(  # type: ignore[no-untyped-call] # grpcio ships no types
            self._pool, handlers=(self._exports,), options=options(config, reuse_port=reuse_port)
        )
        self._port = 0
        self._file: SocketFile | None = None
        self._is_stopped = False

    def counters(self) -> dict[str, int]:
        """``refused_<code>``: requests answered with that gRPC code by us.

        What grpcio refuses itself (too large, unknown method) never reaches us and is not in here.
        """
        return dict(self._exports.refused)

    def shed(self) -> None:
        """Cancels requests that are slow to arrive, for want of memory; their senders send them again."""
        if isinstance(self._pool, ReceivingPool):
            self._pool.shed()

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use; port 0 is replaced by the real one after `start`."""
        if self._config.transport == "unix":
            return self._config.endpoint
        host, _, port = self._config.endpoint.rpartition(":")
        return f"{host}:{self._port or port}"

    def start(self) -> None:
        """Listen. Raises StartError naming the address when it is taken."""
        if self._config.transport == "unix":
            self._bind_unix()
        else:
            self._port = self._bind()
        self._server.start()

    def _bind_unix(self) -> None:
        path = self._config.endpoint
        clear_socket_file(path)
        try:
            self._add(f"unix:{path}")
        except RuntimeError as error:
            raise StartError(f"cannot listen on {path}: the directory is missing or not writable") from error
        self._file = SocketFile(path)

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
                port = self._add(address)
                bound += 1
            except RuntimeError:
                continue  # an address the machine does not have, as in `listen.bind`
        if not bound:
            raise StartError(f"cannot listen on {endpoint}: the address is in use or not of this machine")
        return port

    def _add(self, address: str) -> int:
        if self._credentials is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, self._credentials))

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
        self._exports.close()
        if self._file is not None:
            self._file.remove()
