"""All rows on our decorator where `configure` made the providers, which spans and durations do otherwise: run as
``python -m tests.sdk.conformance.configured``, prints the rows that fail, with why.

A process of its own, because providers are set once. Metrics are read where they arrive, at a receiver.
"""

from __future__ import annotations

import sys
import traceback
from types import SimpleNamespace
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bmad_otel import configure, force_flush, shutdown
from tests.sdk.receivers import HttpReceiver

from .adapters import Configured
from .table import run_all


def main() -> int:
    with HttpReceiver() as received:
        configure(endpoint=received.endpoint, protocol="http/protobuf", host_metrics=False)
        exporter = InMemorySpanExporter()
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        provider.add_span_processor(SimpleSpanProcessor(exporter))

        def points() -> dict[str, list[Any]]:
            received.requests["metrics"].clear()
            if not force_flush(10):
                raise TimeoutError("metrics did not arrive")
            return {
                name: [_point(point) for point in getattr(metric, metric.WhichOneof("data")).data_points]
                for name, metric in received.metrics().items()
            }

        traced = Configured(lambda: list(exporter.get_finished_spans()), points)
        failed = {name: error for name, error in run_all(traced, exporter.clear).items() if error is not None}
        for name, error in failed.items():
            print(f"{name}:", *traceback.format_exception(error))  # noqa: T201
        shutdown(10)
    return len(failed)


def _point(point: Any) -> Any:
    labels = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in point.attributes}
    values = {name: getattr(point, name) for name in ("count", "sum") if hasattr(point, name)}
    return SimpleNamespace(attributes=labels, **values)


if __name__ == "__main__":
    sys.exit(main())
