"""Components of the stock OpenTelemetry Collector that are not here, and what to use or do instead.

Somebody who brings a configuration along should read what to do, and not only that a type is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_QUEUE: Final = "nothing; the exporters join what waits, and sending_queue::batch makes them wait for more"
_API: Final = "the status is at /api/v1/status of the api extension"
_UNTOUCHED: Final = "telemetry is passed on unchanged; do that in the agents or in the collector behind this one"

MISSING: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "receivers": {
            "hostmetrics": "the SDK reports its host; or put an OpenTelemetry Collector in front",
            "host_metrics": "the SDK reports its host; or put an OpenTelemetry Collector in front",
            "prometheus": "put an OpenTelemetry Collector with it in front, sending OTLP here",
            "jaeger": "put an OpenTelemetry Collector with it in front, sending OTLP here",
            "zipkin": "put an OpenTelemetry Collector with it in front, sending OTLP here",
            "kafka": "put an OpenTelemetry Collector with it in front, sending OTLP here",
            "filelog": "put an OpenTelemetry Collector with it in front, sending OTLP here",
            "otlp_json_file": "put an OpenTelemetry Collector with it in front, sending OTLP here",
        },
        "processors": {
            "batch": _QUEUE,
            "attributes": _UNTOUCHED,
            "resource": _UNTOUCHED,
            "resourcedetection": _UNTOUCHED,
            "transform": _UNTOUCHED,
            "filter": _UNTOUCHED,
            "redaction": _UNTOUCHED,
            "k8sattributes": _UNTOUCHED,
            "tail_sampling": _UNTOUCHED,
            "probabilistic_sampler": _UNTOUCHED,
            "cumulativetodelta": _UNTOUCHED,
            "deltatocumulative": "both temporalities are understood as they are",
        },
        "exporters": {
            "logging": "the exporter debug",
            "prometheus": "the Prometheus text of what is learned: bmad-otel export-data --format prometheus",
            "prometheusremotewrite": "otlp_http to the backend's OTLP endpoint",
            "kafka": "otlp_grpc to an OpenTelemetry Collector with it",
            "loadbalancing": "otlp_grpc to an OpenTelemetry Collector with it",
            "nop": "the exporter debug",
        },
        "extensions": {
            "zpages": _API,
            "pprof": "py-spy, which needs nothing in the process",
            "file_storage": "the extension sqlite",
            "db_storage": "the extension sqlite",
            "memory_ballast": "memory_limiter among the processors",
            "oauth2client": "headers of the exporter, with ${file:...}",
            "headers_setter": "headers of the exporter",
        },
    }
)
"""Section to type to what to do instead. A type that exists here after all does not get so far."""


def instead_of(section: str, kind: str) -> str | None:
    """What to do instead of a stock component that is not here; None when it is none we know."""
    return MISSING.get(section, {}).get(kind)
