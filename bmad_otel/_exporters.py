"""The exporters `configure` sends through. Imported only when one is made: OTLP pulls in gRPC or an HTTP client.

What an argument does not say is left to the exporter, which reads the OTEL_EXPORTER_OTLP_* variables itself.
"""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from bmad_otel._settings import Settings, exporter_names, protocol_of


def span_exporters(settings: Settings) -> list[SpanExporter]:
    """One exporter for each name in OTEL_TRACES_EXPORTER."""
    return [ConsoleSpanExporter() if name == "console" else otlp_spans(settings) for name in exporter_names("traces")]


def metric_exporters(settings: Settings) -> list[MetricExporter]:
    """One exporter for each name in OTEL_METRICS_EXPORTER."""
    return [
        ConsoleMetricExporter() if name == "console" else otlp_metrics(settings) for name in exporter_names("metrics")
    ]


def otlp_spans(settings: Settings) -> SpanExporter:
    """OTLP for spans by the protocol that `protocol_of` finds."""
    if protocol_of("traces", settings) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        return GrpcSpanExporter(endpoint=settings.endpoint, headers=_grpc_headers(settings))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

    return HttpSpanExporter(endpoint=_http_endpoint(settings, "v1/traces"), headers=_http_headers(settings))


def otlp_metrics(settings: Settings) -> MetricExporter:
    """OTLP for metrics by the protocol that `protocol_of` finds."""
    if protocol_of("metrics", settings) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

        return GrpcMetricExporter(endpoint=settings.endpoint, headers=_grpc_headers(settings))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter

    return HttpMetricExporter(endpoint=_http_endpoint(settings, "v1/metrics"), headers=_http_headers(settings))


def _grpc_headers(settings: Settings) -> dict[str, str] | None:
    if settings.headers is None:
        return None
    return {key.lower(): value for key, value in settings.headers}  # gRPC refuses upper case in metadata keys


def _http_headers(settings: Settings) -> dict[str, str] | None:
    return None if settings.headers is None else dict(settings.headers)


def _http_endpoint(settings: Settings, path: str) -> str | None:
    return None if settings.endpoint is None else f"{settings.endpoint}/{path}"
