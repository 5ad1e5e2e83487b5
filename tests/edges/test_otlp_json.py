"""OTLP/JSON to protobuf and back: the specification's examples, vectors, and json_format as the reference."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.decode import Decoder
from bmad_processor.emit.otlp_json import to_json
from bmad_processor.errors import Malformed
from bmad_processor.model import Signal
from bmad_processor.receive import to_protobuf

from . import examples
from .peers import REQUESTS

TRACE_ID = "5B8EFFF798038103D269B633813FC60C"


def parse(signal: Signal, value: Any) -> Any:
    return REQUESTS[signal].FromString(to_protobuf(signal, json.dumps(value).encode()))


def with_span(**fields: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


def span(**fields: Any) -> Any:
    return parse(Signal.TRACES, with_span(**fields)).resource_spans[0].scope_spans[0].spans[0]


def value(any_value: Any) -> Any:
    return span(attributes=[{"key": "k", "value": any_value}]).attributes[0].value


# The official examples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "example", "message"),
    [
        (Signal.TRACES, examples.TRACE, examples.TRACE_MESSAGE),
        (Signal.METRICS, examples.METRICS, examples.METRICS_MESSAGE),
        (Signal.LOGS, examples.LOGS, examples.LOGS_MESSAGE),
        (Signal.LOGS, examples.EVENTS, examples.EVENTS_MESSAGE),
    ],
)
def test_official_examples(signal: Signal, example: dict[str, Any], message: Any) -> None:
    assert parse(signal, example) == message
    again = to_json(signal, message.SerializeToString())
    assert REQUESTS[signal].FromString(to_protobuf(signal, again.encode())) == message


# Ids ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [str.upper, str.lower, str.swapcase, lambda t: t[:16].lower() + t[16:].upper()])
def test_ids_are_hex_in_either_case(case: Any) -> None:
    got = span(
        traceId=case(TRACE_ID),
        spanId=case("EEE19B7EC3C1B174"),
        parentSpanId=case("EEE19B7EC3C1B173"),
        links=[{"traceId": case(TRACE_ID), "spanId": case("EEE19B7EC3C1B174")}],
    )
    assert got.trace_id == got.links[0].trace_id == bytes.fromhex(TRACE_ID)
    assert got.span_id == got.links[0].span_id == bytes.fromhex("EEE19B7EC3C1B174")
    assert got.parent_span_id == bytes.fromhex("EEE19B7EC3C1B173")


def test_ids_in_log_records_and_exemplars() -> None:
    ids = {"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b174"}
    logs = parse(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [ids]}]}]})
    assert logs.resource_logs[0].scope_logs[0].log_records[0].trace_id == bytes.fromhex(TRACE_ID)
    for kind in ("gauge", "sum", "histogram", "exponentialHistogram"):
        metric = {"name": "m", kind: {"dataPoints": [{"exemplars": [ids]}]}}
        metrics = parse(Signal.METRICS, {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
        got = metrics.resource_metrics[0].scope_metrics[0].metrics[0]
        (point,) = getattr(got, got.WhichOneof("data")).data_points
        assert point.exemplars[0].trace_id == bytes.fromhex(TRACE_ID)
        assert point.exemplars[0].span_id == bytes.fromhex(ids["spanId"])


def test_what_only_looks_like_an_id_is_left_alone() -> None:
    got = span(attributes=[{"key": "traceId", "value": {"stringValue": TRACE_ID}},
                           {"key": "b", "value": {"bytesValue": "AAECAw=="}}])  # fmt: skip
    assert got.attributes[0].value.string_value == TRACE_ID
    assert got.attributes[1].value.bytes_value == bytes(range(4))


@pytest.mark.parametrize("absent", ["", None])
def test_an_empty_id_is_absent(absent: str | None) -> None:
    assert span(traceId=absent, name="x").trace_id == b""


BAD_IDS = [TRACE_ID[:-1], TRACE_ID + "0", TRACE_ID + "00", "zz" * 16, "W47/95gDgQPSabYzgT/GDA==",
           " " * 32, "00 " * 11, "ff" * 15 + " f", "\uff10" * 32]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_wrong_id_costs_its_item_only(bad: str) -> None:
    good = {"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b174"}
    link = {"links": [{}, {**good, "spanId": bad}]}
    spans = [good, {**good, "traceId": bad}, {**good, "spanId": bad}, {**good, "parentSpanId": bad}, {**good, **link},
             {**link, **good}, good]  # fmt: skip
    decoder = Decoder(interval_ns=10**9)
    body = to_protobuf(Signal.TRACES, json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode())
    decoded = decoder.decode(Signal.TRACES, body)
    assert (decoded.items, decoded.rejected) == (2, 5)
    records = [good, {**good, "traceId": bad}, {**good, "spanId": bad}, {}]
    body = to_protobuf(Signal.LOGS, json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode())
    decoded = decoder.decode(Signal.LOGS, body)
    assert (decoded.items, decoded.rejected) == (2, 2)
    points = [{"asInt": "1", "exemplars": [good]}, {"asInt": "1", "exemplars": [good, {**good, "spanId": bad}]}, {}]
    metrics = [{"name": "m", "gauge": {"dataPoints": points}}]
    tree = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    decoded = decoder.decode(Signal.METRICS, to_protobuf(Signal.METRICS, json.dumps(tree).encode()))
    assert (decoded.items, decoded.rejected) == (2, 1)


@pytest.mark.parametrize("bad", [17, ["00"], {}, True])
def test_an_id_that_is_no_text_is_malformed_with_its_path(bad: Any) -> None:
    with pytest.raises(Malformed, match=r"^resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]\.traceId: expected "):
        span(traceId=bad)
    with pytest.raises(Malformed, match=r"spans\[0\]\.links\[1\]\.spanId: expected "):
        span(links=[{}, {"spanId": bad}])


# Strictly -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [("kind", "SPAN_KIND_SERVER", 2), ("start_time_unix_nano", "5", None), ("trace_id", TRACE_ID, None)],
)
def test_strictly_only_what_otlp_allows(key: str, wrong: Any, right: Any) -> None:
    def body(value: Any) -> bytes:
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{key: value}]}]}]}).encode()

    assert to_protobuf(Signal.TRACES, body(wrong))
    with pytest.raises(Malformed, match=rf"spans\[0\]\.{key}: "):
        to_protobuf(Signal.TRACES, body(wrong), True)
    if right is not None:
        assert to_protobuf(Signal.TRACES, body(right), True) == to_protobuf(Signal.TRACES, body(wrong))


def test_strictly_unknown_keys_are_still_ignored() -> None:
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"laterField": {"a": [1]}, "name": "n"}]}]}], "x": 1}'
    assert to_protobuf(Signal.TRACES, body, True) == to_protobuf(Signal.TRACES, body)


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given_", "expected"), [("1544712660000000000", 1544712660000000000), (5, 5), (5.0, 5),
                                                  (2**64 - 1, 2**64 - 1), (str(2**64 - 1), 2**64 - 1)])  # fmt: skip
def test_64_bit_integers_are_strings_or_numbers(given_: Any, expected: int) -> None:
    assert span(startTimeUnixNano=given_).start_time_unix_nano == expected


@pytest.mark.parametrize("bad", ["-1", -1, str(2**64), 2**64, 1.5, "1.5", "x", "", " 1", "1_0", True, [], {}, 1e300])
def test_wrong_integers_are_malformed(bad: Any) -> None:
    with pytest.raises(Malformed, match=r"spans\[0\]\.startTimeUnixNano: "):
        span(startTimeUnixNano=bad)


def test_signed_integers() -> None:
    assert value({"intValue": str(-(2**63))}).int_value == -(2**63)
    assert value({"intValue": -7}).int_value == -7


@pytest.mark.parametrize(("given_", "expected"), [("Infinity", math.inf), ("-Infinity", -math.inf), (1, 1.0),
                                                  ("1.25", 1.25), ("1e3", 1000.0), (-0.5, -0.5)])  # fmt: skip
def test_doubles(given_: Any, expected: float) -> None:
    assert value({"doubleValue": given_}).double_value == expected


def test_nan() -> None:
    assert math.isnan(value({"doubleValue": "NaN"}).double_value)


@pytest.mark.parametrize("bad", ["nan", "inf", "1_0", " 1", "", True, [], "1e999"])
def test_wrong_doubles_are_malformed(bad: Any) -> None:
    with pytest.raises(Malformed, match="doubleValue: "):
        value({"doubleValue": bad})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_bare_nan_is_not_json(text: str) -> None:
    with pytest.raises(Malformed, match="not valid JSON"):
        to_protobuf(Signal.TRACES, b'{"x": %s}' % text.encode())


@pytest.mark.parametrize("text", ["AP+A/w==", "AP-A_w==", "AP+A/w", "AP-A_w"])
def test_bytes_are_base64(text: str) -> None:
    assert value({"bytesValue": text}).bytes_value == b"\x00\xff\x80\xff"


@pytest.mark.parametrize("bad", ["!", "A", "A===", 5, "AA=A"])
def test_wrong_base64_is_malformed(bad: Any) -> None:
    with pytest.raises(Malformed, match=r"bytesValue: expected"):
        value({"bytesValue": bad})


def test_enums_are_integers_and_names_are_tolerated() -> None:
    assert (span(kind=2).kind, span(kind="SPAN_KIND_SERVER").kind, span(kind=99).kind) == (2, 2, 99)
    with pytest.raises(Malformed, match="kind: "):
        span(kind="SERVER")
    with pytest.raises(Malformed, match="kind: "):
        span(kind=2**40)


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    unknown: dict[str, Any] = {"later": {"a": [1, {"b": None}]}, "[a.b]": 1, "@type": "x", "Name": 5, "": []}
    assert parse(Signal.TRACES, {**unknown, **with_span(name="x", **unknown)}) == parse(
        Signal.TRACES, with_span(name="x")
    )


def test_null_is_absent() -> None:
    assert span(name=None, attributes=None, status=None, kind=None) == span()
    assert parse(Signal.LOGS, {"resourceLogs": None}) == ExportLogsServiceRequest()


def test_empty_messages_are_kept() -> None:
    assert value({}).WhichOneof("value") is None
    assert value({"stringValue": ""}).WhichOneof("value") == "string_value"
    assert value({"kvlistValue": {}}).WhichOneof("value") == "kvlist_value"
    assert span(status={}).HasField("status")


@pytest.mark.parametrize("signal", list(Signal))
def test_empty_request(signal: Signal) -> None:
    assert to_protobuf(signal, b"{}") == b""


@pytest.mark.parametrize("body", [b"", b" ", b"\xff", b"[]", b"null", b'"x"', b"1", b"{", b"{}{}",
                                  b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"1" * 5000, b"[" * 100_000,
                                  b'{"a":' * 100_000])  # fmt: skip
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"^body"):
        to_protobuf(Signal.TRACES, body)


@pytest.mark.parametrize(
    "wrong",
    [{"resourceSpans": {}}, {"resourceSpans": "x"}, {"resourceSpans": [[]]}, {"resourceSpans": [None]},
     {"resourceSpans": [{"resource": []}]}, {"resourceSpans": [{"resource": "x"}]}, with_span(name=5),
     with_span(name=["x"]), with_span(attributes=["x"]), with_span(flags=True), with_span(flags=2**32)],
)  # fmt: skip
def test_wrong_shapes_are_malformed(wrong: Any) -> None:
    with pytest.raises(Malformed, match=r"^resourceSpans"):
        parse(Signal.TRACES, wrong)


def test_lone_surrogate_is_malformed() -> None:
    with pytest.raises(Malformed, match=r"spans\[0\]\.name: not valid Unicode"):
        to_protobuf(Signal.TRACES, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}')


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"stringValue": "x"}
    for _ in range(depth):
        inner = {"arrayValue": {"values": [inner]}}
    return inner


def test_what_is_accepted_can_be_decoded_again_and_deeper_is_malformed() -> None:
    deepest = 0
    for depth in range(60):
        try:
            value(nested(depth))  # decodes what it made
        except Malformed as error:
            assert "deep" in str(error)  # noqa: PT017
        else:
            assert deepest == max(0, depth - 1), "accepted beyond a refused depth"
            deepest = depth
    assert deepest > 40
    for depth in (200, 5_000):
        text = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
        with pytest.raises(Malformed, match="deep"):
            to_protobuf(
                Signal.TRACES, json.dumps(with_span(attributes=[{"value": 0}])).replace("0}", text + "}").encode()
            )


# Against the reference ------------------------------------------------------------------------------------------------

ids = st.sampled_from([b"", bytes(range(16))]), st.sampled_from([b"", bytes(range(8))])
texts = st.text(max_size=8)
any_values = st.recursive(
    st.one_of(
        st.builds(lambda v: {"stringValue": v}, texts),
        st.builds(lambda v: {"intValue": v}, st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda v: {"doubleValue": v}, st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(lambda v: {"boolValue": v}, st.booleans()),
        st.builds(lambda v: {"bytesValue": base64.b64encode(v).decode()}, st.binary(max_size=6)),
        st.just({}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda v: {"arrayValue": {"values": v}}, st.lists(inner, max_size=3)),
        st.builds(lambda k, v: {"kvlistValue": {"values": [{"key": k, "value": v}]}}, texts, inner),
    ),
    max_leaves=6,
)
attributes = st.lists(st.fixed_dictionaries({"key": texts, "value": any_values}), max_size=3)
points = st.fixed_dictionaries(
    {"attributes": attributes, "timeUnixNano": st.integers(0, 2**64 - 1)},
    optional={
        "count": st.integers(0, 2**64 - 1).map(str),
        "bucketCounts": st.lists(st.integers(0, 2**64 - 1).map(str), max_size=4),
        "explicitBounds": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4),
        "sum": st.floats(allow_nan=False, allow_infinity=False),
        "flags": st.integers(0, 2**32 - 1),
    },
)
metrics_requests = st.builds(
    lambda ps, n: {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": n, "histogram": {
        "dataPoints": ps, "aggregationTemporality": 2}}]}]}]},
    st.lists(points, max_size=3), texts,
)  # fmt: skip
logs_requests = st.builds(
    lambda body, atts, number: {"resourceLogs": [{"resource": {"attributes": atts}, "scopeLogs": [{"logRecords": [
        {"body": body, "attributes": atts, "severityNumber": number}]}]}]},
    any_values, attributes, st.integers(0, 24),
)  # fmt: skip


@given(st.one_of(metrics_requests, logs_requests))
def test_same_as_json_format_where_both_apply(request_: dict[str, Any]) -> None:
    signal = Signal.METRICS if "resourceMetrics" in request_ else Signal.LOGS
    expected = json_format.ParseDict(request_, REQUESTS[signal]())
    assert parse(signal, request_) == expected


@given(st.one_of(metrics_requests, logs_requests), *ids)
def test_json_of_a_message_parses_back_to_it(request_: dict[str, Any], trace_id: bytes, span_id: bytes) -> None:
    signal = Signal.METRICS if "resourceMetrics" in request_ else Signal.LOGS
    message = parse(signal, request_)
    if isinstance(message, ExportLogsServiceRequest):
        record = message.resource_logs[0].scope_logs[0].log_records[0]
        record.trace_id, record.span_id = trace_id, span_id
    else:
        assert isinstance(message, ExportMetricsServiceRequest)
        for point in message.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points:
            point.exemplars.add(trace_id=trace_id, span_id=span_id, as_double=math.inf)
    text = to_json(signal, message.SerializeToString())
    assert "\n" not in text
    assert REQUESTS[signal].FromString(to_protobuf(signal, text.encode())) == message


def test_nan_survives_both_ways() -> None:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.gauge.data_points.add(as_double=math.nan)
    text = to_json(Signal.METRICS, message.SerializeToString())
    assert '"asDouble":"NaN"' in text
    again = ExportMetricsServiceRequest.FromString(to_protobuf(Signal.METRICS, text.encode()))
    assert math.isnan(again.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].as_double)


def test_written_form() -> None:
    message = ExportTraceServiceRequest()
    one = message.resource_spans.add().scope_spans.add().spans.add()
    one.trace_id, one.span_id, one.kind = bytes(range(16)), bytes(range(8)), 3
    one.start_time_unix_nano = 2**63
    one.attributes.add(key="b").value.bytes_value = b"\xff"
    written = json.loads(to_json(Signal.TRACES, message.SerializeToString()))
    assert written["resourceSpans"][0]["scopeSpans"][0]["spans"][0] == {
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "spanId": "0001020304050607",
        "kind": 3,
        "startTimeUnixNano": "9223372036854775808",
        "attributes": [{"key": "b", "value": {"bytesValue": "/w=="}}],
    }
