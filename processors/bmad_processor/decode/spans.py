"""From the bytes of an `ExportTraceServiceRequest` to task samples. The hot path of the collector.

What makes it fast, each measured by ``benchmarks/collector.py``:

* spans stay ``bytes`` (`wire.ScopeSpans`): no protobuf object per span;
* ids, parent, name and kind come first and in order in what every known SDK writes, so start and end are read by one
  ``struct`` call at a computed place; a span laid out otherwise takes `_careful`, which is slower and says the same;
* everything behind the end time (attributes, status, flags) is one slice, the tail: spans of one kind share it or
  differ in values that say nothing (`tails`), so its meaning is one or two dict lookups;
* durations are collected in lists, over many requests, and become a histogram per agent, not per span (`collect`);
* model calls, whose tokens are read one by one, take the way of a span whose meaning is not known yet: no other span
  pays for them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.errors import Malformed

from . import wire
from .attributes import Attributes
from .collect import Collection, Group, Kind, SenderGroups
from .model_calls import CallCounts, ModelCall, understand_call
from .recent import Recent
from .rejected import prune
from .resource import MAX_RESOURCE_LENGTH, Sender, Senders
from .result import Decoded
from .span_meaning import WANTED, TaskMeaning, understand
from .tails import Meaning, Tails

_TIMES: Final = struct.Struct("<BQBQ").unpack_from  # tag and value of start_time_unix_nano, then of end_time_unix_nano
_HEAD: Final = struct.Struct("<H16xH8xBB").unpack_from  # tags and lengths of trace id, span id and what follows
_TRACE_TAG: Final = 0x100A  # field 1, 16 bytes
_SPAN_TAG: Final = 0x0812  # field 2, 8 bytes
_START_TAG: Final = 0x39
_END_TAG: Final = 0x41
_ZERO_TRACE_ID: Final = bytes(16)
_ZERO_SPAN_ID: Final = bytes(8)
_ZERO_SPAN_FIELD: Final = b"\x12\x08" + _ZERO_SPAN_ID
_SEARCH_BYTES: Final = 16 * 1024
_NONE: Final[dict[str, int]] = {}

_GROUP_BYTES: Final = 500
"""What a remembered group takes beside its key."""


class _IdsAgain(Exception):
    """A span with ids behind its times: of a field written twice the last counts, and the loop has seen the first."""


class SpanDecoder:
    """Decodes trace requests; keeps what it learned about attribute bytes, within bounds. Not thread-safe."""

    def __init__(self, collection: Collection, *, interval_ns: int, senders: Senders, budget_bytes: int) -> None:
        self._collection = collection
        self._interval_ns = interval_ns
        self._senders = senders
        self._attributes = Attributes(WANTED)
        self.tell_index = self._attributes.tell_index
        self._tails = Tails(self._attributes.wanted, self._understand, budget_bytes=budget_bytes)
        self._unique: Recent[tuple[str, str, str], TaskMeaning] = Recent(budget_bytes // 1024)
        self._budget_bytes = budget_bytes
        self._tables: Recent[bytes, SenderGroups] = Recent(budget_bytes // 2048)
        self._remembered_bytes = 0
        """In the young generations of all senders' groups, about."""
        self._calls = CallCounts()
        self._n_calls = 0

    def collect(self, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a trace request; then nothing of it is left."""
        try:
            ExportTraceServiceRequest.FromString(body)  # what is not OTLP anywhere inside, no backend would take
            request = wire.TraceRequest.FromString(body)
        except DecodeError as error:
            raise Malformed("body is not a valid ExportTraceServiceRequest") from error
        has_zeros = may_have_zero_ids(body)
        calls: list[tuple[Sender, CallCounts]] = []
        items = self._n_calls = 0
        bad: list[tuple[Any, int]] = []
        try:
            for resource_spans in request.resource_spans:
                table = self._table(resource_spans.resource)
                self._calls = CallCounts()
                for scope in resource_spans.scope_spans:
                    spans = scope.spans
                    items += len(spans)
                    if has_zeros:
                        self._careful_scope(scope, table, bad)
                    else:
                        self._scope(scope, spans, table, bad)
                if self._calls:
                    calls.append((table.sender, self._calls))
        except Malformed:
            self._collection.undo()
            raise
        used = self._collection.n_touched() + self._n_calls
        forward = body
        if bad:
            for scope, index in reversed(bad):
                del scope.spans[index]
            prune(request.resource_spans, "scope_spans", "spans")
            items -= len(bad)
            forward = request.SerializeToString()
        return Decoded(
            items,
            rejected=len(bad),
            message=f"{len(bad)} spans have an invalid trace or span id" if bad else "",
            forward=forward,
            dropped={"spans_not_agent_tasks": items - used} if items > used else _NONE,
            calls=calls,
        )

    def _table(self, resource: bytes) -> SenderGroups:
        table = self._tables.get(resource)
        if table is None:
            try:
                table = self._tables.recall(resource)
            except KeyError:
                table = SenderGroups(self._senders.of(resource))
                if len(resource) <= MAX_RESOURCE_LENGTH:
                    self._tables.remember(resource, table)
        return table

    def _scope(self, scope: Any, spans: Any, table: SenderGroups, bad: list[tuple[Any, int]]) -> None:
        head, times, unknown, cut_of = _HEAD, _TIMES, (), self._tails.single_cuts.get
        collection, request = self._collection, self._collection.request
        get: Callable[[Any, Any], Any] = table.groups.get
        unseen = (b"", unknown)
        for index, span in enumerate(spans):
            try:
                # trace id at 2..18, span id at 20..28, then perhaps a parent, then a name shorter than 128 bytes
                trace_tag, span_tag, tag, size = head(span)
                at = 28
                if tag == 0x22 and size == 8:
                    at, tag, size = 38, span[38], span[39]
                if tag == 0x2A and size < 0x80:
                    at += 2 + size
                if span[at] == 0x30 and span[at + 1] < 0x80:
                    at += 2
                start_tag, start, end_tag, end = times(span, at)
            except (IndexError, struct.error):
                trace_tag = 0
            if trace_tag != _TRACE_TAG or span_tag != _SPAN_TAG or start_tag != _START_TAG or end_tag != _END_TAG:
                self._careful(span, scope, index, table, bad)
                continue
            at += 18
            cut = cut_of(len(span) - at)
            if cut is None:
                group = get(span[at:], unknown)
            else:
                # tails of this length differ in one value that says nothing: compare what stands before and behind it
                behind, meaning = cut[1].get(span[at : at + cut[0]], unseen)
                group = get(meaning, unknown) if span.endswith(behind) else unknown
            if group is None:
                continue
            if not group or not group.start_ns <= end < group.end_ns:
                try:
                    group = self._group_of(span[at:], end, table)
                except _IdsAgain:
                    self._careful(span, scope, index, table, bad)
                    continue
                if group is None:
                    continue
            if group.request is not request:
                collection.touch(group)
            duration = end - start if end > start else 0
            group.add(duration)
            if duration >= group.longest_ns:
                group.compare(duration, span)

    def _group_of(self, tail: bytes, end_ns: int, table: SenderGroups) -> Group | None:
        """Where a span with this tail goes; None when it is no task."""
        meaning = self._tails.of(tail)
        if isinstance(meaning, ModelCall):
            self._count_call(meaning, end_ns, wire.Span.FromString(tail).attributes)
            return None
        group = self._group(meaning, end_ns, table)
        if self._tails.is_repeated:
            if tail in table.groups:
                table.groups[tail] = group
            else:
                self._remember(table, tail, group, len(tail))
        return group

    def _group(self, meaning: TaskMeaning | None, end_ns: int, table: SenderGroups) -> Group | None:
        groups = table.groups
        try:
            group = groups.recall(meaning)
        except KeyError:
            if meaning is None:
                group = None
            else:
                start_ns = end_ns - end_ns % self._interval_ns
                group = Kind(table.sender, meaning, start_ns=start_ns, interval_ns=self._interval_ns).latest
            self._remember(table, meaning, group, 0)
        if group is not None and not group.start_ns <= end_ns < group.end_ns:
            group = groups[meaning] = group.kind.at(end_ns)
        return group

    def _remember(self, table: SenderGroups, key: bytes | TaskMeaning | None, group: Group | None, size: int) -> None:
        self._remembered_bytes += size + _GROUP_BYTES
        if self._remembered_bytes > self._budget_bytes:
            self._remembered_bytes = 0
            for other in self._tables.values():
                other.groups.age()
            self._tables.age()
        table.groups.remember(key, group)

    def _count_call(self, call: ModelCall, end_ns: int, attributes: Iterable[bytes]) -> None:
        self._n_calls += self._calls.add(call, end_ns, attributes)

    def _understand(self, tail: bytes) -> Meaning | None:
        """Meaning of everything behind the end time; these bytes are a span message without its first fields."""
        try:
            span = wire.Span.FromString(tail)
        except DecodeError as error:
            raise Malformed("a span is not a valid protobuf message") from error
        if span.HasField("trace_id") or span.HasField("span_id") or span.HasField("parent_span_id"):
            raise _IdsAgain
        return self._meaning_of(span)

    def _meaning_of(self, span: Any) -> Meaning | None:
        has_error_status = span.status.code == wire.STATUS_ERROR
        found = self._attributes.read(span.attributes)
        meaning = understand(found, has_error_status=has_error_status)
        if meaning is None:
            return understand_call(found)
        identity = (meaning.agent, meaning.task, meaning.error)
        try:
            return self._unique.recall(identity)
        except KeyError:
            self._unique.remember(identity, meaning)
            return meaning

    def _careful_scope(self, scope: Any, table: SenderGroups, bad: list[tuple[Any, int]]) -> None:
        for index, span in enumerate(scope.spans):
            self._careful(span, scope, index, table, bad)

    def _careful(self, data: bytes, scope: Any, index: int, table: SenderGroups, bad: list[tuple[Any, int]]) -> None:
        """One span in any layout, ids checked."""
        try:
            span = wire.Span.FromString(data)
        except DecodeError as error:
            raise Malformed("a span is not a valid protobuf message") from error
        is_parent_valid = len(span.parent_span_id) in (0, 8)
        if not (is_parent_valid and _is_valid_id(span.trace_id, _ZERO_TRACE_ID)
                and _is_valid_id(span.span_id, _ZERO_SPAN_ID)):  # fmt: skip
            bad.append((scope, index))
            return
        meaning = self._meaning_of(span)
        if isinstance(meaning, ModelCall):
            self._count_call(meaning, span.end_time_unix_nano, span.attributes)
        elif meaning is not None:
            end = span.end_time_unix_nano
            group = self._group(meaning, end, table)
            if group is not None:
                if group.request is not self._collection.request:
                    self._collection.touch(group)
                duration = max(0, end - span.start_time_unix_nano)
                group.add(duration)
                if duration >= group.longest_ns:
                    group.compare(duration, data)


def may_have_zero_ids(body: bytes) -> bool:
    """Whether some id in the body may be all zeros: looked for in all of it instead of two comparisons per span.

    Both kinds of id have eight zeros in a row, which other values seldom have. CPython skips over bytes that cannot be
    part of what it looks for when it is short and the text is below 30,000 bytes: five times as fast as in one go.
    """
    find = body.find
    for begin in range(0, len(body), _SEARCH_BYTES):
        if find(_ZERO_SPAN_ID, begin, begin + _SEARCH_BYTES + 7) >= 0:
            return _ZERO_TRACE_ID in body or _ZERO_SPAN_FIELD in body
    return False


def _is_valid_id(value: bytes, zero: bytes) -> bool:
    return len(value) == len(zero) and value != zero
