"""A tracer that sets the global provider each time it is constructed, as BMAD's does."""

from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider


@dataclass
class TracingConfig:
    service_name: str = "bmad-agents"


class BMADTracer:
    def __init__(self, config):
        provider = TracerProvider(resource=Resource.create({"service.environment": "test"}))
        trace.set_tracer_provider(provider)
        self.tracer = trace.get_tracer(config.service_name)

    @contextmanager
    def start_span(self, name, parent=None):
        span = self.tracer.start_span(name)
        try:
            yield span
        finally:
            span.end()
