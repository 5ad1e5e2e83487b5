"""`@operation` after `agentops.init`, whose batch processor sends to an exporter of its own: that one is replaced."""

from __future__ import annotations

import agentops
from agentops.sdk.decorators import operation
from agentops.sdk.exporters import AuthenticatedOTLPExporter
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import TracerProvider

from sdk.discard import DiscardExporter, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    exporter = DiscardExporter()
    AuthenticatedOTLPExporter.export = lambda _, spans: exporter.export(spans)
    OTLPMetricExporter.export = lambda *_, **__: MetricExportResult.SUCCESS
    agentops.init()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(operation(nothing))},
        collect=provider.force_flush,
        spans=exporter.spans,
        distributions=("agentops", "opentelemetry-sdk"),
    )
