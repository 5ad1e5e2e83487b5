"""C1, C5 to C9, C11 to C15: what both protocols promise."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Histogram, HistogramDataPoint, Metric

from . import messages
from .clients import GrpcClient, HttpClient
from .messages import JSON, PROTOBUF, REJECTED, RESPONSES, SIGNALS, TIME_NS, UNKNOWN_FIELD, attribute, is_full, unique
from .rows import NotApplicable
from .targets import Server

Send = Callable[[str, Any], Any]
"""Signal and message to the Export*ServiceResponse, or an AssertionError when it was refused."""

WAYS = ("grpc", "protobuf", "json")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(way: str, rpc: GrpcClient, web: HttpClient) -> Send:
    def send(signal: str, message: Any) -> Any:
        if way == "grpc":
            reply = rpc.export(signal, message.SerializeToString())
            assert reply.code is grpc.StatusCode.OK, (reply.code, reply.message)
            return RESPONSES[signal].FromString(reply.body)
        if way == "protobuf":
            return web.post(signal, message.SerializeToString()).response(signal)
        return web.post(signal, messages.to_json(message), JSON).response(signal)

    return send


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_c1_over_grpc(server: Server, rpc: GrpcClient, signal: str, compression: str) -> None:
    name = unique("c1")
    method = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    reply = rpc.export(signal, messages.body(signal, name), compression=method)
    assert reply.code is grpc.StatusCode.OK
    server.delivers(name)


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_c1_over_http(server: Server, web: HttpClient, signal: str, compression: str, content_type: str) -> None:
    name = unique("c1")
    message = messages.named(signal, name)
    body = message.SerializeToString() if content_type == PROTOBUF else messages.to_json(message)
    headers = {"content_encoding": "gzip"} if compression == "gzip" else {}
    web.post(signal, gzip.compress(body) if headers else body, content_type, **headers).response(signal)
    server.delivers(name)


def empty_requests(signal: str) -> list[Any]:
    """Nothing at all, a resource without scopes, a scope without items."""
    nothing, no_items = messages.REQUESTS[signal](), messages.named(signal)
    no_scopes = messages.named(signal)
    for field, _ in list(no_scopes.ListFields()):
        for envelope in getattr(no_scopes, field.name):
            envelope.ClearField(field.name.replace("resource", "scope"))
    return [nothing, no_scopes, no_items]


@pytest.mark.parametrize("signal", SIGNALS)
def test_c5_empty_request_is_a_success(send: Send, signal: str) -> None:
    for message in empty_requests(signal):
        assert is_full(send(signal, message))


@pytest.mark.parametrize("signal", SIGNALS)
def test_c6_empty_requests_are_not_passed_on(server: Server, send: Send, signal: str) -> None:
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    behind = unique("c6")
    for message in (*empty_requests(signal), messages.named(signal, behind)):
        send(signal, message)
    server.delivers(behind)
    assert not [d for d in server.backend.deliveries if d.signal == signal and d.is_parsed and not d.names]


@pytest.mark.parametrize("signal", SIGNALS)
def test_c7_full_success(send: Send, way: str, web: HttpClient, signal: str) -> None:
    assert is_full(send(signal, messages.named(signal, unique("c7"))))


@pytest.mark.parametrize("signal", SIGNALS)
def test_c7_beyond_nothing_is_sent_for_nothing_to_say(rpc: GrpcClient, web: HttpClient, signal: str) -> None:
    message = messages.named(signal, unique("c7"))
    assert rpc.export(signal, message.SerializeToString()).body == b""
    assert web.post(signal, message.SerializeToString()).body == b""
    assert web.post(signal, messages.to_json(message), JSON).body == b"{}"


def bad_items() -> dict[str, tuple[str, Callable[[str], Any]]]:
    """What no backend can take, in every signal: signal, and an item of that name."""

    def with_exemplar(name: str) -> Metric:
        return messages.metric(name, exemplars=[Exemplar(trace_id=b"short", span_id=b"s" * 8, as_int=1)])

    return {
        "span with a short trace id": ("traces", lambda name: messages.span(name, trace_id=b"t" * 15)),
        "span with a long span id": ("traces", lambda name: messages.span(name, span_id=b"s" * 9)),
        "span without ids": ("traces", lambda name: messages.span(name, trace_id=b"", span_id=b"")),
        "log record with a short trace id": ("logs", lambda name: messages.log_record(name, trace_id=b"t" * 15)),
        "log record with a long span id": ("logs", lambda name: messages.log_record(name, span_id=b"s" * 9)),
        "data point with an exemplar of a short trace id": ("metrics", with_exemplar),
    }


BAD_ITEMS = bad_items()


@pytest.mark.parametrize("what", BAD_ITEMS)
def test_c8_what_is_missing_is_counted(server: Server, rpc: GrpcClient, what: str) -> None:
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    signal, build = BAD_ITEMS[what]
    bad, good, behind = unique("bad"), unique("good"), unique("behind")
    items = [build(bad), *messages_of(signal, good)]
    reply = rpc.export(signal, messages.request(signal, items).SerializeToString())
    if reply.code is not grpc.StatusCode.OK:
        return  # nothing was accepted, and it said so
    partial = RESPONSES[signal].FromString(reply.body).partial_success
    n_rejected = getattr(partial, REJECTED[signal])
    rpc.export(signal, messages.body(signal, behind))
    server.delivers(behind, *([] if n_rejected > 1 else [good]))
    n_missing = 2 - bool(server.backend.taken[bad]) - bool(server.backend.taken[good])
    assert n_missing == n_rejected
    assert bool(partial.error_message) == bool(n_rejected)


def messages_of(signal: str, *names: str) -> list[Any]:
    build: Any = {"traces": messages.span, "metrics": messages.metric, "logs": messages.log_record}[signal]
    return [build(name) for name in names]


@pytest.mark.parametrize("what", BAD_ITEMS)
def test_c8_beyond_a_bad_item_costs_itself_alone(server: Server, rpc: GrpcClient, what: str) -> None:
    signal, build = BAD_ITEMS[what]
    names = [unique("good") for _ in range(99)]
    items = messages_of(signal, *names)
    items.insert(50, build(unique("bad")))
    reply = rpc.export(signal, messages.request(signal, items).SerializeToString())
    assert reply.code is grpc.StatusCode.OK, reply.message
    partial = RESPONSES[signal].FromString(reply.body).partial_success
    assert getattr(partial, REJECTED[signal]) == 1
    assert partial.error_message
    server.delivers(*names)


def test_c8_beyond_the_same_over_json(server: Server, web: HttpClient) -> None:
    good, bad = unique("good"), unique("bad")
    tree = messages.tree(messages.named("traces", good, bad))
    tree["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["traceId"] = "abcdef"
    response = web.post("traces", json.dumps(tree).encode(), JSON).response("traces")
    assert response.partial_success.rejected_spans == 1
    server.delivers(good)


def test_c8_beyond_nothing_empty_is_left_of_what_was_rejected(server: Server, rpc: GrpcClient) -> None:
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    good, bad = unique("good"), unique("bad")
    message = messages.request("traces", [messages.span(bad, trace_id=b"t")])
    message.MergeFrom(messages.named("traces", good))
    reply = rpc.export("traces", message.SerializeToString())
    assert RESPONSES["traces"].FromString(reply.body).partial_success.rejected_spans == 1
    server.delivers(good)
    passed_on = messages.REQUESTS["traces"].FromString(server.backend.of(good).body)
    assert all(scope.spans for resource in passed_on.resource_spans for scope in resource.scope_spans)


def indexed(where: str, name: str) -> KeyValue:
    """An attribute that nobody has seen before: who has read it once need not warn again."""
    if where == "key":
        return KeyValue(key_strindex=3, value=AnyValue(string_value=name))
    return KeyValue(key=name, value=AnyValue(string_value_strindex=3))


@pytest.mark.parametrize("where", ["key", "value"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_c9_warnings_reject_nothing(rpc: GrpcClient, signal: str, where: str) -> None:
    response = _export_indexed(rpc, signal, where, unique("c9"))
    if is_full(response):
        raise NotApplicable("it does not warn")
    assert getattr(response.partial_success, REJECTED[signal]) == 0
    assert response.partial_success.error_message


@pytest.mark.parametrize("where", ["key", "value"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_c12_string_indexes_are_not_fatal(server: Server, rpc: GrpcClient, signal: str, where: str) -> None:
    name = unique("c12")
    response = _export_indexed(rpc, signal, where, name)
    assert getattr(response.partial_success, REJECTED[signal]) == 0
    server.delivers(name)


def _export_indexed(rpc: GrpcClient, signal: str, where: str, name: str) -> Any:
    message = messages.request(signal, messages_of(signal, name), resource=[indexed(where, name)])
    if signal == "traces":
        message.resource_spans[0].scope_spans[0].spans[0].attributes.append(indexed(where, name))
    reply = rpc.export(signal, message.SerializeToString())
    assert reply.code is grpc.StatusCode.OK, reply.message
    return RESPONSES[signal].FromString(reply.body)


def test_c11_unknown_fields_are_taken(server: Server, rpc: GrpcClient) -> None:
    name = unique("c11")
    assert rpc.export("traces", _with_unknown_fields(name)).code is grpc.StatusCode.OK
    server.delivers(name)


def test_c11_beyond_unknown_fields_are_passed_on(server: Server, rpc: GrpcClient) -> None:
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    name = unique("c11")
    body = _with_unknown_fields(name)
    assert rpc.export("traces", body).code is grpc.StatusCode.OK
    server.delivers(name)
    assert server.backend.of(name).body.count(UNKNOWN_FIELD) == body.count(UNKNOWN_FIELD) == 4


def _with_unknown_fields(name: str) -> bytes:
    """In the request, the resource's envelope, the span, and an attribute."""
    message = messages.named("traces", name)
    envelope = message.resource_spans[0]
    span = envelope.scope_spans[0].spans[0]
    span.attributes.add().MergeFromString(attribute("a", "b").SerializeToString() + UNKNOWN_FIELD)
    span.MergeFromString(UNKNOWN_FIELD)
    envelope.MergeFromString(UNKNOWN_FIELD)
    message.MergeFromString(UNKNOWN_FIELD)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("signal", SIGNALS)
def test_c13_duplicate_attribute_keys_do_no_harm(server: Server, send: Send, signal: str) -> None:
    name = unique("c13")
    twice = [attribute("service.name", "one"), attribute("service.name", "two")]
    send(signal, messages.request(signal, messages_of(signal, name), resource=twice))
    server.delivers(name)


@pytest.mark.parametrize("signal", SIGNALS)
def test_c14_the_same_request_again(server: Server, send: Send, signal: str) -> None:
    name = unique("c14")
    message = messages.named(signal, name)
    for _ in range(2):
        send(signal, message)
    server.delivers(name)


WRONG_IDS = {"short": b"i" * 7, "long": b"i" * 17, "one byte": b"i"}


@pytest.mark.parametrize("field", ["trace_id", "span_id"])
@pytest.mark.parametrize("length", WRONG_IDS)
def test_c15_wrong_lengths_of_a_span(server: Server, rpc: GrpcClient, field: str, length: str) -> None:
    bad, behind = unique("c15"), unique("behind")
    message = messages.request("traces", [messages.span(bad, **{field: WRONG_IDS[length]})])
    _is_not_accepted(rpc, "traces", message)
    rpc.export("traces", messages.body("traces", behind))
    server.delivers(behind)
    assert server.backend is None or not server.backend.taken[bad]


@pytest.mark.parametrize("field", ["trace_id", "span_id"])
def test_c15_wrong_lengths_of_a_log_record(rpc: GrpcClient, field: str) -> None:
    message = messages.request("logs", [messages.log_record(unique("c15"), **{field: b"i" * 7})])
    _is_not_accepted(rpc, "logs", message)


def test_c15_no_ids_in_a_log_record(server: Server, rpc: GrpcClient) -> None:
    name = unique("c15")
    assert rpc.export("logs", messages.body("logs", name)).code is grpc.StatusCode.OK
    server.delivers(name)


def _is_not_accepted(rpc: GrpcClient, signal: str, message: Any) -> None:
    reply = rpc.export(signal, message.SerializeToString())
    if reply.code is grpc.StatusCode.OK:
        partial = RESPONSES[signal].FromString(reply.body).partial_success
        assert getattr(partial, REJECTED[signal]) == 1, "it was accepted"


def test_c8_beyond_a_histogram_nobody_can_read(server: Server, rpc: GrpcClient) -> None:
    good = unique("good")
    point = HistogramDataPoint(time_unix_nano=TIME_NS, count=3, bucket_counts=[1, 2], explicit_bounds=[1.0, 2.0, 3.0])
    bad = Metric(name=unique("bad"), histogram=Histogram(data_points=[point], aggregation_temporality=1))
    message = messages.request("metrics", [bad, messages.metric(good)])
    reply = rpc.export("metrics", message.SerializeToString())
    assert RESPONSES["metrics"].FromString(reply.body).partial_success.rejected_data_points == 1
    server.delivers(good)
