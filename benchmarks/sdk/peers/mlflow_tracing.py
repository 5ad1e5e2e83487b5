"""`@mlflow.trace` with OTLP as its destination, whose exporter's ``export`` is replaced."""

from __future__ import annotations

import os

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from sdk.discard import DiscardExporter, nothing, own_bare_span, plain
from sdk.loops import SetUp, calling


def set_up() -> SetUp:
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://localhost:4317"  # nobody is asked there
    # Without a tracking server it looks for a file store, for which packages are missing, and records nothing at all.
    os.environ["MLFLOW_TRACKING_URI"] = "http://localhost:5000"  # nor there
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    exporter = DiscardExporter()
    OTLPSpanExporter.export = lambda _, spans: exporter.export(spans)
    import mlflow
    from mlflow.tracing.provider import provider

    traced = mlflow.trace(nothing)
    traced()  # it makes its provider in the first call
    return SetUp(
        {"plain": plain, "bare": own_bare_span, "peer": lambda: calling(traced)},
        collect=lambda: provider.get().force_flush(),
        spans=exporter.spans,
        distributions=("mlflow-tracing", "opentelemetry-sdk"),
    )
