"""An OTLP/gRPC receiver that counts the tasks told to it and throws everything away."""

from __future__ import annotations

from concurrent import futures
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

_METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_DURATION = "gen_ai.invoke_agent.duration"


class Receiver(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore]
    """Runs in the parent: what it costs is nobody's CPU that is measured."""

    def __init__(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        self._server.add_generic_rpc_handlers([self])
        self.endpoint = f"http://localhost:{self._server.add_insecure_port('localhost:0')}"
        self._counts: dict[str, dict[tuple[Any, ...], int]] = {}
        self._attributes: dict[str, dict[str, str]] = {}

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._take if call.method == _METRICS else lambda *_: b"")

    def tasks(self, service: str) -> int:
        """How many durations of tasks ``service`` has reported, by its own counts."""
        return sum(self._counts.get(service, {}).values())

    def duration_attributes(self, service: str) -> dict[str, str]:
        """The attributes on the last duration that ``service`` has reported."""
        return self._attributes.get(service, {})

    def _take(self, body: bytes, _: grpc.ServicerContext) -> bytes:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            service = names.get("service.name", "")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == _DURATION:
                        self._count(service, metric)
        return b""

    def _count(self, service: str, metric: Metric) -> None:
        data: Any = getattr(metric, str(metric.WhichOneof("data")))
        is_delta = data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        counts = self._counts.setdefault(service, {})
        for point in data.data_points:
            attributes = {pair.key: pair.value.string_value for pair in point.attributes}
            series = tuple(sorted(attributes.items()))
            counts[series] = point.count + (counts.get(series, 0) if is_delta else 0)
            self._attributes[service] = attributes

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.stop(0)
