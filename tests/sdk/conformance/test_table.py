"""The rows can fail: here they meet decorators that are known to be wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.sdk.conftest import Telemetry

from .adapters import AttachesAcrossYields, BareOpenTelemetry, Nothing, WrapperObject
from .table import ROWS, passed_by

ROOT = Path(__file__).parents[3]


def test_there_are_43_rows() -> None:
    assert len(ROWS) == 43


def test_all_rows_pass_where_configure_made_the_providers() -> None:
    """Spans and durations of our own providers are made by other code than those of a program's own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment |= {"BMAD_OTEL_RAISE_INTERNAL": "1", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.sdk.conformance.configured"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.stdout == "", result.stdout
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_passes_where_nothing_is_traced(telemetry: Telemetry) -> None:
    assert passed_by(Nothing(telemetry.spans, telemetry.points), telemetry.exporter.clear) == set()


def test_the_rows_the_bare_decorator_passes(telemetry: Telemetry) -> None:
    assert passed_by(BareOpenTelemetry(telemetry.spans, telemetry.points), telemetry.exporter.clear) == {
        "sync_traced",
        "async_real_duration_still_coroutinefunction",
        "error_has_error_status",
        "error_exception_recorded_exactly_once",
        "system_exit_span_still_ended",
        "decorator_below_classmethod",
        "partial_of_async_function",
        "asyncio_to_thread_child_linked",
        "decorated_function_picklable",
    }


def test_the_rows_a_wrapper_object_passes(telemetry: Telemetry) -> None:
    assert passed_by(WrapperObject(telemetry.spans, telemetry.points), telemetry.exporter.clear) == {
        "decorator_below_classmethod",  # binds its function by itself
        "survives_circular_input",
        "survives_circular_output",
        "survives_raising_to_json_and_model_dump",
        "survives_non_string_keys",
    }


def test_the_rows_a_decorator_that_attaches_across_yields_passes(telemetry: Telemetry) -> None:
    assert passed_by(AttachesAcrossYields(telemetry.spans, telemetry.points), telemetry.exporter.clear) == {
        "sync_traced",
        "async_real_duration_still_coroutinefunction",
        "error_exception_recorded_exactly_once",
        "system_exit_span_still_ended",
        "gen_real_duration",
        "gen_error_is_error",
        "agen_real_duration",
        "asyncio_to_thread_child_linked",
        "decorated_function_picklable",
    }
