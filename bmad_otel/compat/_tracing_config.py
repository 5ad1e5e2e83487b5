"""The settings and words of BMAD's tracing, as its programs write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from opentelemetry.trace import Status


class TraceLevel(Enum):
    """How much a program wants on its spans. `BMADTracer.add_span_event` needs more than ``BASIC``."""

    BASIC = "basic"
    DETAILED = "detailed"
    DEBUG = "debug"


class ExporterType(Enum):
    """Where BMAD's configuration may say that spans go. Here the process's providers decide (see `tracing`)."""

    CONSOLE = "console"
    JAEGER = "jaeger"
    OTLP = "otlp"
    PROMETHEUS = "prometheus"


@dataclass
class TracingConfig:
    """What BMAD's programs configure a tracer with; the fields are BMAD's.

    ``service_name`` names the tracer, ``trace_level`` decides on events. The others say where and how to export, which
    is the business of the process's providers; `BMADTracer` tells once which of them have no effect.
    """

    service_name: str = "bmad-agents"
    service_version: str = "1.0.0"
    environment: str = "development"
    trace_level: TraceLevel = TraceLevel.DETAILED
    exporters: list[ExporterType] = field(default_factory=list)
    jaeger_host: str = "localhost"
    jaeger_port: int = 6831
    otlp_endpoint: str = "http://localhost:4317"
    prometheus_port: int = 8000
    sample_rate: float = 1.0
    max_attributes: int = 32
    max_events: int = 128
    max_links: int = 32


@dataclass
class AgentSpan:
    """What BMAD's programs note of an agent's span. Times are seconds since the epoch."""

    agent_name: str
    task_name: str
    workflow_id: str | None = None
    parent_span_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    start_time: float | None = None
    end_time: float | None = None
    status: Status = field(default_factory=Status)
    error: str | None = None


def config_of(given: object, service_name: str | None) -> TracingConfig:
    """The four shapes in which BMAD's agents say it: a `TracingConfig`, an object or mapping with some of its fields, a
    bare name, or ``service_name`` alone. A field that is missing or of another type has its default."""
    if isinstance(given, str):
        service_name, given = service_name or given, None
    if isinstance(given, TracingConfig):
        if service_name is None:
            return given
        given = vars(given)
    found: dict[str, Any] = {}
    defaults = TracingConfig()
    for each in fields(TracingConfig):
        value = given.get(each.name) if isinstance(given, Mapping) else getattr(given, each.name, None)
        default = getattr(defaults, each.name)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if each.name == "exporters":
            value = list(value) if isinstance(value, list | tuple | set) else None
        elif each.name == "trace_level" and isinstance(value, str):
            value = next((level for level in TraceLevel if level.value == value.lower()), None)
        if isinstance(value, type(default)):
            found[each.name] = value
    if service_name:
        found["service_name"] = service_name
    return TracingConfig(**found)
