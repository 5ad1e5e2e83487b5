"""A program that has OpenTelemetry already: its providers stay in charge, and bmad-otel reports through them.

Its own spans and the agents' spans are one trace; where they go is up to the providers. `configure` is needed for
nothing here. Called without an endpoint it would leave the providers alone and add metrics of process and host; with
one it would add a second exporter beside the program's own.
"""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from bmad_otel import track_task


class Clerk:
    @track_task
    def add_up(self, amounts: list[int]) -> int:
        return sum(amounts)


def main() -> None:
    resource = Resource.create({"service.name": "existing-program"})
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(tracer_provider)
    meter_provider = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())], resource=resource)
    metrics.set_meter_provider(meter_provider)

    with trace.get_tracer("existing-program").start_as_current_span("close the books"):
        Clerk().add_up([1200, 3400])

    tracer_provider.shutdown()
    meter_provider.shutdown()


if __name__ == "__main__":
    main()
