"""What is exported reads back as the numbers of the document, whatever names it has."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from bmad_processor.decode import Decoder
from bmad_processor.export import CONTENT_TYPES, FORMATS, history_points, is_empty, render
from bmad_processor.metric_types import METRIC_TYPES
from bmad_processor.model import Signal
from bmad_processor.receive.otlp_json import to_protobuf

from .documents import documents, replaced

DOCUMENT: dict[str, Any] = {
    "timestamp": 1_700_000_000.0,
    "system_summary": {
        "units": {"cpu_usage": "%", "network_io": "bytes/second"},
        "hosts": {"node1": {"cpu_usage": 29.0, "network_io": None}},
        "agents_total": 1,
        "active_agents": 1,
        "firing_alerts": {"emergency": 0, "critical": 1},
        "dropped": {"late": 2},
    },
    "agent_summaries": {
        "ProductOwner": {
            "agent_name": "ProductOwner",
            "namespace": "shop",
            "current_metrics": {
                "response_time": {"value": 3.4, "unit": "seconds", "n": 7, "is_stale": False, "as_of": 1_700_000_000.0},
                "cpu_usage": {"value": 29.0, "unit": "%", "n": 7, "is_stale": False, "as_of": 1_700_000_000.0},
                "queue_size": {"value": 4.0, "unit": "count", "n": 1, "is_stale": True, "as_of": 1_600_000_000.0},
                "custom:user_satisfaction": {
                    "value": 4.5, "unit": "points", "n": 1, "is_stale": False, "as_of": 1_700_000_000.0,
                },
            },
            "baseline_metrics": {"response_time": 0.5},
            "thresholds": {"response_time": {"warning": 3.0, "critical": 8.0}, "error_rate": {"critical": 8.0}},
            "alerts": [{"level": "warning", "resolved": False}, {"level": "critical", "resolved": True}],
            "self_reported": {"success_rate": {"value": 95.0, "unit": "%", "n": 1, "as_of": 1.0}},
            "tools": {"search": {"calls": 3, "errors": 1, "mean_s": 0.5, "max_s": 1.0}},
            "cost": {"input_tokens": 10, "output_tokens": 5, "amount": 0.25, "currency": "USD"},
            "tasks_total": 12,
            "errors_total": 2,
            "instances": {"count": 2},
            "scaling": {"desired": 3},
            "last_seen": 1_700_000_000.0,
        }
    },
    "history": {
        "ProductOwner": {
            "response_time": {"unit": "seconds", "points": [[1_699_999_990.0, 0.4, 3], [1_699_999_995.0, 3.4, 7]]}
        }
    },
    "host_history": {"node1": {"cpu_usage": {"unit": "%", "points": [[1_699_999_995.0, 29.0, 1]]}}},
}  # fmt: skip


def samples(text: str, parse: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "one label set, one sample"
            found[key] = sample.value
    return found


@pytest.mark.parametrize(("form", "parse"), [("prometheus", parse_text), ("openmetrics", parse_openmetrics)])
def test_prometheus_has_types_help_base_units_and_labels(form: str, parse: Any) -> None:
    text = render(DOCUMENT, form)
    found = samples(text, parse)
    agent = frozenset({("agent", "ProductOwner"), ("namespace", "shop")})
    assert found["bmad_agent_response_time_seconds", agent] == 3.4
    assert found["bmad_agent_cpu_usage_ratio", agent] == 0.29
    assert found["bmad_agent_response_time_baseline_seconds", agent] == 0.5
    assert found["bmad_agent_error_rate_threshold_ratio", agent | {("level", "critical")}] == 0.08
    assert found["bmad_agent_alerts_firing", agent | {("level", "warning")}] == 1
    assert found["bmad_agent_alerts_firing", agent | {("level", "critical")}] == 0
    assert found["bmad_agent_tasks_total", agent] == 12
    assert found["bmad_agent_tool_errors_total", agent | {("tool", "search")}] == 1
    assert found["bmad_agent_tokens_total", agent | {("type", "input")}] == 10
    assert found["bmad_agent_cost", agent | {("currency", "USD")}] == 0.25
    assert found["bmad_agent_custom", agent | {("name", "user_satisfaction"), ("unit", "points")}] == 4.5
    assert found["bmad_agent_reported", agent | {("name", "success_rate"), ("unit", "%")}] == 95
    assert found["bmad_host_cpu_usage_ratio", frozenset({("host", "node1")})] == 0.29
    assert found["bmad_dropped_total", frozenset({("reason", "late")})] == 2
    # what is stale is not the present state, and what is unknown is not invented
    assert not any("queue_size" in name or "network" in name for name, _ in found)
    families = {family.name: family for family in parse(text)}
    assert all(family.type in ("gauge", "counter") for family in families.values())
    assert families["bmad_agent_response_time_seconds"].documentation == METRIC_TYPES["response_time"].description
    assert families["bmad_agent_tasks"].type == "counter"
    if form == "openmetrics":
        assert families["bmad_agent_response_time_seconds"].unit == "seconds"


def test_csv_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(render(DOCUMENT, "csv"), newline="")))
    assert rows[0] == {
        "timestamp": "2023-11-14T22:13:10.000Z", "agent": "ProductOwner", "namespace": "shop", "host": "",
        "metric": "response_time", "value": "0.4", "unit": "seconds", "n": "3",
    }  # fmt: skip
    assert [(row["metric"], row["value"]) for row in rows[1:3]] == [("response_time", "3.4"), ("cpu_usage", "29.0")]
    assert (rows[-1]["agent"], rows[-1]["host"], rows[-1]["value"]) == ("system", "node1", "29.0")


def test_otlp_has_base_units_and_nanoseconds() -> None:
    request = json_format.Parse(render(DOCUMENT, "otlp-json"), ExportMetricsServiceRequest())
    metrics = {m.name: m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics}
    response = metrics["bmad.agent.response_time"]
    assert response.unit == "s"
    assert [(p.time_unix_nano, p.as_double) for p in response.gauge.data_points] == [
        (1_699_999_990_000_000_000, 0.4),
        (1_699_999_995_000_000_000, 3.4),
    ]
    cpu = metrics["bmad.host.cpu_usage"]
    assert (cpu.unit, cpu.gauge.data_points[0].as_double) == ("1", 0.29)
    assert cpu.gauge.data_points[0].attributes[0].key == "host.name"
    own = metrics["bmad.agent.custom"].gauge.data_points[0]
    assert {a.key: a.value.string_value for a in own.attributes}["bmad.metric.name"] == "user_satisfaction"
    namespaces = [
        a.value.string_value
        for r in request.resource_metrics
        for a in r.resource.attributes
        if a.key == "service.namespace"
    ]
    assert namespaces == ["shop"]


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(ValueError, match=r"format must be one of json, csv, prometheus.*not 'xml'"):
        render(DOCUMENT, "xml")
    assert set(CONTENT_TYPES) == set(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_document_is_a_valid_text(form: str) -> None:
    assert is_empty({})
    assert (
        render({}, form)
        == {
            "json": "{}\n",
            "csv": "timestamp,agent,namespace,host,metric,value,unit,n\r\n",
            "prometheus": "",
            "openmetrics": "# EOF\n",
            "otlp-json": '{"resourceMetrics":[]}\n',
        }[form]
    )


@settings(max_examples=60, deadline=None)
@given(documents())
def test_prometheus_always_parses(document: dict[str, Any]) -> None:
    text = samples(render(document, "prometheus"), parse_text)
    open_text = samples(render(document, "openmetrics"), parse_openmetrics)
    assert text == open_text
    for summary in document["agent_summaries"].values():
        labels = {("agent", replaced(summary["agent_name"])), ("namespace", replaced(summary["namespace"]))}
        for metric, now in summary["current_metrics"].items():
            if metric == "response_time" and not now["is_stale"]:
                assert text["bmad_agent_response_time_seconds", frozenset(labels)] == now["value"]
            if metric == "cpu_usage" and not now["is_stale"]:
                assert text["bmad_agent_cpu_usage_ratio", frozenset(labels)] == now["value"] / 100


@settings(max_examples=60, deadline=None)
@given(documents())
def test_csv_reads_back(document: dict[str, Any]) -> None:
    def plain(cell: str) -> str:
        return cell.removeprefix("'")

    reader = csv.DictReader(io.StringIO(render(document, "csv"), newline=""))
    rows = [
        (
            plain(row["agent"]), plain(row["namespace"]), plain(row["host"]), plain(row["metric"]),
            round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000), float(row["value"]), row["unit"],
            int(row["n"]), row,
        )
        for row in reader
    ]  # fmt: skip
    expected = [
        (
            p.owner.agent, p.owner.namespace, p.owner.host, p.metric, round(p.time_s * 1000), p.value, p.unit, p.n,
        )
        for p in history_points(document)
    ]  # fmt: skip
    assert [row[:-1] for row in rows] == expected
    for row in rows:
        assert not any(row[-1][name].startswith(("=", "+", "-", "@")) for name in ("agent", "namespace", "metric"))


@settings(max_examples=60, deadline=None)
@given(documents())
def test_otlp_reads_back_and_our_receiver_takes_it(document: dict[str, Any]) -> None:
    text = render(document, "otlp-json")
    request = json_format.Parse(text, ExportMetricsServiceRequest())
    found = sorted(
        (p.time_unix_nano, p.as_double)
        for r in request.resource_metrics
        for s in r.scope_metrics
        for m in s.metrics
        for p in m.gauge.data_points
    )
    expected = sorted(
        (round(p.time_s * 1e6) * 1000, p.value / 100 if p.unit == "%" else p.value) for p in history_points(document)
    )
    assert found == expected
    decoded = Decoder(interval_ns=5_000_000_000).decode(Signal.METRICS, to_protobuf(Signal.METRICS, text.encode()))
    assert (decoded.items, decoded.rejected) == (len(expected), 0)


@settings(max_examples=30, deadline=None)
@given(documents())
def test_json_is_the_document(document: dict[str, Any]) -> None:
    assert json.loads(render(document, "json")) == document
