"""H11 to H15: the JSON encoding of OTLP, which is not proto3 JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from . import messages
from .clients import HttpClient
from .conftest import STRICT, Start
from .messages import JSON, TIME_NS, unique
from .rows import NotApplicable
from .targets import Server

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


def span(name: str, /, **more: Any) -> dict[str, Any]:
    fields = {
        "traceId": TRACE_ID, "spanId": SPAN_ID, "name": name, "kind": 1,
        "startTimeUnixNano": str(TIME_NS), "endTimeUnixNano": str(TIME_NS + 1),
    }  # fmt: skip
    return fields | more


def traces(*spans: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}], **more}).encode()


def logs(**record: Any) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def metrics(metric: dict[str, Any]) -> bytes:
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def arrived(server: Server, signal: str, name: str) -> Any:
    """The first item of the request with that name, as a backend sees it."""
    server.delivers(name)
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    message = messages.REQUESTS[signal].FromString(server.backend.of(name).body)
    envelope = getattr(
        message, {"traces": "resource_spans", "metrics": "resource_metrics", "logs": "resource_logs"}[signal]
    )
    scope = getattr(envelope[0], {"traces": "scope_spans", "metrics": "scope_metrics", "logs": "scope_logs"}[signal])
    return getattr(scope[0], {"traces": "spans", "metrics": "metrics", "logs": "log_records"}[signal])[0]


def taken(web: HttpClient, signal: str, body: bytes) -> None:
    reply = web.post(signal, body, JSON)
    assert reply.status == 200, (reply.status, reply.body[:300])
    assert messages.is_full(reply.response(signal))


def not_taken(web: HttpClient, signal: str, body: bytes) -> None:
    reply = web.post(signal, body, JSON)
    if reply.status == 200:
        assert not messages.is_full(reply.response(signal)), "it was taken"
    else:
        assert reply.status == 400


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_h11_ids_are_hex_in_any_case(server: Server, web: HttpClient, case: Any) -> None:
    name = unique("h11")
    link = {"traceId": case(TRACE_ID), "spanId": case(SPAN_ID)}
    taken(web, "traces", traces(span(name, **link, parentSpanId=case(SPAN_ID), links=[link])))
    got = arrived(server, "traces", name)
    assert got.trace_id == bytes.fromhex(TRACE_ID)
    assert got.span_id == got.parent_span_id == bytes.fromhex(SPAN_ID)
    assert (got.links[0].trace_id, got.links[0].span_id) == (got.trace_id, got.span_id)


def test_h11_ids_of_log_records_and_exemplars(server: Server, web: HttpClient) -> None:
    name = unique("h11")
    taken(web, "logs", logs(body={"stringValue": name}, traceId=TRACE_ID, spanId=SPAN_ID))
    assert arrived(server, "logs", name).trace_id == bytes.fromhex(TRACE_ID)
    name = unique("h11")
    exemplar = {"traceId": TRACE_ID, "spanId": SPAN_ID, "asInt": "1", "timeUnixNano": str(TIME_NS)}
    point = {"asInt": "1", "timeUnixNano": str(TIME_NS), "exemplars": [exemplar]}
    taken(web, "metrics", metrics({"name": name, "gauge": {"dataPoints": [point]}}))
    assert arrived(server, "metrics", name).gauge.data_points[0].exemplars[0].span_id == bytes.fromhex(SPAN_ID)


@pytest.mark.parametrize(
    "bad", ["W47/95gDgQPSabYzgT/GDA==", TRACE_ID[:-1], TRACE_ID[:-2], TRACE_ID + "00", "g" * 32, " " * 32]
)
def test_h11_other_ids_are_not_taken(web: HttpClient, bad: str) -> None:
    not_taken(web, "traces", traces(span(unique("h11"), traceId=bad)))


def test_h12_unknown_names_everywhere(server: Server, web: HttpClient) -> None:
    name = unique("h12")
    nested = {"a": [1, {"b": None}, [[]]], "c": {"d": {"e": "f"}}, "g": 1.5}
    unknown = {"futureField": nested, "another": None, "third": [nested, "x", True]}
    attribute = {"key": "k", "value": {"stringValue": "v", **unknown}, **unknown}
    item = span(name, attributes=[attribute], status={"code": 1, **unknown}, **unknown)
    scope = {"spans": [item], **unknown}
    envelope = {"resource": {"attributes": [attribute], **unknown}, "scopeSpans": [scope], **unknown}
    body = {"resourceSpans": [envelope], **unknown}
    taken(web, "traces", json.dumps(body).encode())
    got = arrived(server, "traces", name)
    assert (got.attributes[0].key, got.attributes[0].value.string_value, got.status.code) == ("k", "v", 1)


def test_h13_enums_are_integers(server: Server, web: HttpClient) -> None:
    name = unique("h13")
    taken(web, "traces", traces(span(name, kind=3, status={"code": 2})))
    got = arrived(server, "traces", name)
    assert (got.kind, got.status.code) == (3, 2)


def test_h13_enums_of_a_later_version(server: Server, web: HttpClient) -> None:
    name = unique("h13")
    taken(web, "logs", logs(body={"stringValue": name}, severityNumber=77))
    assert arrived(server, "logs", name).severity_number == 77


def test_h14_names_are_lower_camel_case(server: Server, web: HttpClient) -> None:
    name = unique("h14")
    taken(web, "traces", traces(span(name, droppedAttributesCount=2, traceState="a=b")))
    got = arrived(server, "traces", name)
    assert (got.dropped_attributes_count, got.trace_state, got.end_time_unix_nano) == (2, "a=b", TIME_NS + 1)


@pytest.fixture
def strict(start_for_session: Start) -> HttpClient:
    return HttpClient(start_for_session(STRICT).http)


def test_h13_beyond_strict_refuses_names_of_enums(strict: HttpClient) -> None:
    assert strict.post("traces", traces(span("x", kind="SPAN_KIND_CLIENT")), JSON).status == 400
    assert strict.post("traces", traces(span("x", kind=3)), JSON).status == 200


def test_h14_beyond_strict_does_not_know_snake_case(server: Server, strict: HttpClient) -> None:
    name = unique("h14")
    item = span(name, trace_state="a=b", traceState="c=d")
    assert strict.post("traces", traces(item), JSON).status in (200, 400)
    reply = strict.post("traces", traces({"trace_id": TRACE_ID, "span_id": SPAN_ID, "name": "x"}), JSON)
    assert reply.status == 400 or not messages.is_full(reply.response("traces"))


@pytest.mark.parametrize("as_text", [True, False])
def test_h15_64_bit_integers(server: Server, web: HttpClient, as_text: bool) -> None:
    name = unique("h15")
    number = -(2**63) + 1 if as_text else -(2**53) + 1
    time: Any = str(TIME_NS) if as_text else TIME_NS
    value = {"intValue": str(number) if as_text else number}
    item = span(name, startTimeUnixNano=time, endTimeUnixNano=time, attributes=[{"key": "n", "value": value}])
    taken(web, "traces", traces(item))
    got = arrived(server, "traces", name)
    assert (got.start_time_unix_nano, got.attributes[0].value.int_value) == (TIME_NS, number)


@pytest.mark.parametrize(
    ("text", "number"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf), (1.5, 1.5), (2, 2.0)]
)
def test_h15_doubles(server: Server, web: HttpClient, text: Any, number: float) -> None:
    name = unique("h15")
    point = {"asDouble": text, "timeUnixNano": str(TIME_NS)}
    taken(web, "metrics", metrics({"name": name, "gauge": {"dataPoints": [point]}}))
    got = arrived(server, "metrics", name).gauge.data_points[0].as_double
    assert got == number or (math.isnan(got) and math.isnan(number))


def test_h15_bytes_are_base64(server: Server, web: HttpClient) -> None:
    name = unique("h15")
    taken(web, "traces", traces(span(name, attributes=[{"key": "b", "value": {"bytesValue": "AP//"}}])))
    assert arrived(server, "traces", name).attributes[0].value.bytes_value == b"\x00\xff\xff"


WRONG = {
    "a number where text belongs": {"name": 5},
    "text where a number belongs": {"startTimeUnixNano": "soon"},
    "a fraction where an integer belongs": {"droppedAttributesCount": 1.5},
    "an integer too large": {"droppedAttributesCount": 2**32},
    "an object where an array belongs": {"attributes": {}},
    "an array where an object belongs": {"status": []},
    "a boolean where text belongs": {"traceState": True},
}


@pytest.mark.parametrize("what", WRONG)
def test_h6_wrong_types_in_json_are_400(web: HttpClient, what: str) -> None:
    assert web.post("traces", traces(span("x", **WRONG[what])), JSON).status == 400


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b'"x"', b"{", b'{"resourceSpans":[}', b"{}{}", b"\xff{}", b"{'a':1}"]
)
def test_h6_no_json_is_400(web: HttpClient, body: bytes) -> None:
    assert web.post("traces", body, JSON).status == 400
