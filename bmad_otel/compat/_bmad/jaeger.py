"""A stand-in for the Jaeger exporter that BMAD's tracing imports before anything else.

`opentelemetry-exporter-jaeger-thrift` ended with 1.21 and cannot be imported with an OpenTelemetry SDK of 1.40 or
newer, which takes all of BMAD down. BMAD needs the name only; who really exports to Jaeger sends it OTLP today.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bmad_otel import _guard
from bmad_otel.compat._bmad.patches import Patches

MODULE: Final = "opentelemetry.exporter.jaeger.thrift"


class JaegerExporter(SpanExporter):
    """Exports nothing, and says so once."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        _guard.warn_once(
            "jaeger",
            "bmad_otel: the Jaeger exporter cannot be imported with this OpenTelemetry SDK and exports nothing here; "
            "Jaeger takes OTLP on port 4317",
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Failure: the ``spans`` go nowhere."""
        del spans
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing to end."""


def put_in_place(patches: Patches) -> bool:
    """Put the stand-in where the real exporter cannot be imported; whether it was needed."""
    try:
        importlib.import_module(MODULE)
    except Exception:  # noqa: BLE001 - absent, or it fails on what the SDK no longer has
        parent_name = MODULE.rpartition(".")[0]
        module = ModuleType(MODULE, __doc__)
        module.__dict__["JaegerExporter"] = JaegerExporter
        if parent_name not in sys.modules:
            parent = ModuleType(parent_name, __doc__)
            parent.__path__ = []
            patches.swap_module(parent_name, parent)
        patches.swap_module(MODULE, module)
        return True
    return False
