"""The table of metrics, and everything that is made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from ruamel.yaml import YAML

from bmad_processor.export.families import Buckets
from bmad_processor.self_telemetry import TABLE, Kind, Naming, Point, families_of, points_of, scraped
from bmad_processor.self_telemetry.exposition import names_of

RULES = Path(__file__).parents[2] / "collector-config" / "prometheus" / "collector-rules.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "self-telemetry.md"

_BUCKETS: dict[str, Any] = {"bounds": [0.1, 1.0], "counts": [1, 2, 3], "sum": 4.5}

STATUS: dict[str, Any] = {
    "uptime_s": 12.5,
    "receivers": {"otlp/grpc": {"refused_unavailable": 1, "connections_closed": 7}, "otlp/http": {"refused_503": 2}},
    "pipelines": {
        "otlp/grpc": {
            **{f"{what}_{signal}": n for n, signal in enumerate(("traces", "metrics", "logs"), 10)
               for what in ("accepted", "refused", "failed", "rejected")},
            "unused_no_agent": 3,
        }
    },
    "processors_of": {"otlp/grpc": {"traces": ["memory_limiter", "agent_performance"], "logs": ["memory_limiter"]}},
    "requests": {
        "otlp/grpc": {"success": 5, "refused": 1, "failure": 0, "duration_s": _BUCKETS, "size_bytes": _BUCKETS}
    },
    "intake": {"cleaned_agent_names": 4},
    "memory": {"in_hand_bytes": 100, "in_hand_limit_bytes": 1000, "in_hand_refused": 1},
    "processors": {
        "memory_limiter": {
            "limit_bytes": 1, "soft_limit_bytes": 1, "held_bytes": 1, "pressure": 2, "soft_limited": 1,
            "hard_limited": 1, "collections": 9, "refused_requests_traces": 8,
        }
    },
    "engine": {"partitions": 3, "dropped_history_points": 1, "late": 5, "last_commit_s": 0.25},
    "commits": {"duration_s": _BUCKETS, "failed": 2},
    "store": {"unsent_events": 1},
    "joined": {"otlp_grpc/a": _BUCKETS},
    "announcer": {"undelivered_events": 1, "dropped_gauge_points": 2},
    "profiles": {"reloads": 1, "problems": [{}]},
    "exporters": {
        "otlp_grpc/a": dict.fromkeys(
            (
                "sent_requests", "sent_items", "failed_requests", "failed_items_permanent", "failed_items_shutdown",
                "retries", "queue_size", "queue_capacity", "in_flight_requests", "queue_bytes", "queue_requests",
                *(f"{what}_{signal}" for what in ("sent", "send_failed", "enqueue_failed")
                  for signal in ("traces", "metrics", "logs")),
            ),
            6,
        )
    },
    "extensions": {"telemetry/otlp": {"sent_items": 4}},
    "process": {"cpu_s": 1.5, "rss_bytes": 1000, "gc": [{"collections": 3, "collected": 5}], "log_lines_left_out": 2},
    "health": {"is_ready": False, "troubles": [{"component": "store", "reason": "not_writable", "detail": "x"}]},
}  # fmt: skip
"""One of everything that parts say."""


def values(points: list[Point], name: str) -> dict[tuple[str, ...], float]:
    """Label values to number."""
    return {tuple(v for _, v in p.labels): p.value for p in points if p.metric.name == name and p.value == p.value}  # type: ignore[misc]


def test_every_metric_of_the_table_is_made_of_something_and_nothing_else_is() -> None:
    points = list(points_of(STATUS))
    assert {point.metric.name for point in points} == set(TABLE)
    assert all(tuple(name for name, _ in point.labels) == point.metric.labels for point in points)
    assert len({(point.metric.name, point.labels) for point in points}) == len(points), "each once"


def test_names_are_the_collectors() -> None:
    points = list(points_of(STATUS))
    assert values(points, "otelcol_receiver_accepted_spans") == {("otlp", "grpc"): 10}
    assert values(points, "otelcol_receiver_refused_metric_points") == {("otlp", "grpc"): 11}
    assert values(points, "otelcol_receiver_failed_log_records") == {("otlp", "grpc"): 12}
    assert values(points, "otelcol_exporter_sent_spans") == {("otlp_grpc/a",): 6}
    assert values(points, "otelcol_processor_incoming_items") == {
        ("memory_limiter", "traces"): 10,
        ("agent_performance", "traces"): 10,
        ("memory_limiter", "logs"): 12,
    }


def test_every_drop_has_its_counter() -> None:
    points = list(points_of(STATUS))
    assert values(points, "bmad_engine_samples_not_used") == {("late",): 5}
    assert values(points, "bmad_receiver_counts") == {
        ("otlp", "grpc", "connections_closed"): 7,
        ("otlp", "grpc", "unused_no_agent"): 3,
    }
    assert values(points, "bmad_receiver_refused_requests") == {
        ("otlp", "grpc", "unavailable"): 1,
        ("otlp", "http", "503"): 2,
    }
    reasons = {reason for _, reason in values(points, "bmad_exporter_counts")}
    assert {"failed_items_permanent", "failed_items_shutdown", "retries"} <= reasons


def test_of_an_empty_status_nothing_is_invented() -> None:
    assert list(points_of({})) == []


@pytest.mark.parametrize("naming", list(Naming))
def test_the_parsers_of_prometheus_read_both_formats(naming: Naming) -> None:
    families = families_of(points_of(STATUS), naming)
    text, text_type = scraped(families, "text/plain")
    openmetrics, openmetrics_type = scraped(families, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")

    def samples(parsed: Any) -> dict[tuple[str, Any], float]:
        # the text parser puts the suffix to every counter that has none
        def written(name: str) -> str:
            return name.removesuffix("_total") if naming is Naming.BARE and name.startswith("otelcol_") else name

        return {(written(s.name), tuple(sorted(s.labels.items()))): s.value for f in parsed for s in f.samples}

    from_text = samples(parse_text(text.decode()))
    assert from_text == samples(parse_openmetrics(openmetrics.decode()))
    named = {name for metric in TABLE.values() for name in names_of(metric, naming)}
    assert {name for name, _ in from_text} == named
    accepted = "otelcol_receiver_accepted_spans" + ("" if naming is Naming.BARE else "_total")
    assert f'{accepted}{{receiver="otlp",transport="grpc"}} 10.0' in text.decode().splitlines()
    assert f'{accepted}{{receiver="otlp",transport="grpc"}} 10.0' in openmetrics.decode().splitlines()


def test_suffixes_are_those_the_collector_writes() -> None:
    def name(metric: str) -> str:
        (only,) = names_of(TABLE[metric], Naming.SUFFIXED)
        return only

    assert name("otelcol_process_uptime") == "otelcol_process_uptime_seconds_total"
    assert name("otelcol_process_cpu_seconds") == "otelcol_process_cpu_seconds_total"
    assert name("otelcol_process_memory_rss") == "otelcol_process_memory_rss_bytes"
    assert name("otelcol_exporter_queue_size") == "otelcol_exporter_queue_size"


def test_buckets_are_cumulative() -> None:
    point = Point(TABLE["bmad_receiver_request_size"], (("receiver", "a"), ("transport", "b")),
                  Buckets((1.0, 2.0), (3, 0, 4), 20.0))  # fmt: skip
    text, _ = scraped(families_of([point]), "")
    (family,) = parse_text(text.decode())
    assert [(s.labels.get("le"), s.value) for s in family.samples] == [
        ("1.0", 3), ("2.0", 3), ("+Inf", 7), (None, 20), (None, 7),
    ]  # fmt: skip


_NAME = re.compile(r"\b(?:otelcol|bmad)_[a-z_]+\b")


def test_rules_and_page_name_metrics_that_exist() -> None:
    known = {name for metric in TABLE.values() for name in names_of(metric, Naming.BARE)}
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    found = 0
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "for", "labels", "annotations"} <= set(rule)
            assert {"summary", "description"} <= set(rule["annotations"])
            assert rule["labels"]["severity"] in ("page", "ticket")
            names = set(_NAME.findall(rule["expr"]))
            assert names
            assert names <= known, names - known
            assert rule["expr"].count("(") == rule["expr"].count(")")
            found += 1
    assert found >= 8
    queries = re.findall(r"```promql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert queries
    assert set(_NAME.findall("".join(queries))) <= known


def test_every_counter_says_what_it_counts() -> None:
    for metric in TABLE.values():
        assert metric.description.endswith("."), metric.name
        assert metric.unit, metric.name
        if metric.kind is Kind.COUNTER:
            assert not metric.name.endswith("_total")
