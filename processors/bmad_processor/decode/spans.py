"""From the bytes of an `ExportTraceServiceRequest` to task samples. The hot path of the collector.

What makes it fast, each measured by ``benchmarks/receive.py``:

* spans stay ``bytes`` (`wire.ScopeSpans`): no protobuf object per span;
* ids, parent, name and kind come first and in order in what every known SDK writes, so start and end are read by one
  ``struct`` call at a computed place; a span laid out otherwise takes `_careful`, which is slower and says the same;
* everything behind the end time (attributes, status, flags) is one slice, the tail: spans of one kind share it or
  differ in values that say nothing (`tails`), so its meaning is one or two dict lookups;
* durations are collected in lists and become a histogram per agent, not per span;
* model calls, whose tokens are read one by one, take the way of a span whose meaning is not known yet: no other span
  pays for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError

from bmad_processor import sketch
from bmad_processor.errors import Malformed
from bmad_processor.model import Exemplar, PartitionKey, Sample, Source, TaskSample

from . import wire
from .attributes import CACHE_SIZE, Attributes
from .model_calls import CallCounts, ModelCall, TokenSenders, agent_key, understand_call
from .rejected import prune
from .resource import Sender, Senders
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


class _Collected:
    """Spans of one agent in one pane of one sender, failed and successful ones apart.

    Keeps durations and the slowest span, not the spans: memory that is not held on to stays in the processor's cache.
    """

    __slots__ = ("add", "durations", "end_ns", "is_failed", "longest_ns", "slowest", "start_ns")

    def __init__(self, start_ns: int, end_ns: int, *, is_failed: bool) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.is_failed = is_failed
        self.durations: list[int] = []
        self.add = self.durations.append
        self.longest_ns = -1
        self.slowest = b""

    def compare(self, duration_ns: int, span: bytes) -> None:
        """For a span at least as slow as all before. Of equal ones the smallest trace id stays: any split agrees."""
        if duration_ns > self.longest_ns or trace_id_of(span) < trace_id_of(self.slowest):
            self.longest_ns, self.slowest = duration_ns, span


# agent, whether failed, start of the pane
_Collection = dict[tuple[str, bool, int], _Collected]


def trace_id_of(span: bytes) -> bytes:
    """Trace id of the bytes of a span."""
    if span[:2] == b"\n\x10":
        return span[2:18]
    return bytes(wire.Span.FromString(span).trace_id)


class SpanDecoder:
    """Decodes trace requests; keeps what it learned about attribute bytes, within bounds. Not thread-safe."""

    def __init__(self, *, interval_ns: int, senders: Senders, token_senders: TokenSenders) -> None:
        self._interval_ns = interval_ns
        self._senders = senders
        self._token_senders = token_senders
        self._attributes = Attributes(WANTED)
        self.tell_index = self._attributes.tell_index
        self._tails = Tails(self._attributes.wanted, self._understand)
        self._unique: dict[tuple[str, str, str], TaskMeaning] = {}
        self._keys: dict[tuple[str, str], PartitionKey] = {}
        self._calls = CallCounts()
        self._n_calls = 0

    def decode(self, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a trace request."""
        try:
            request = wire.TraceRequest.FromString(body)
        except DecodeError as error:
            raise Malformed("body is not a valid ExportTraceServiceRequest") from error
        # two searches over the whole body instead of two comparisons per span
        has_zeros = _ZERO_TRACE_ID in body or _ZERO_SPAN_FIELD in body
        samples: list[Sample] = []
        items = used = 0
        bad: list[tuple[Any, int]] = []
        for resource_spans in request.resource_spans:
            sender = self._senders.of(resource_spans.resource)
            collected: _Collection = {}
            groups: dict[Any, _Collected | None] = {}
            calls = self._calls = CallCounts()
            self._n_calls = 0
            for scope in resource_spans.scope_spans:
                items += len(scope.spans)
                if has_zeros:
                    self._careful_scope(scope, collected, bad)
                else:
                    self._scope(scope, groups, collected, bad)
            used += sum(len(c.durations) for c in collected.values()) + self._n_calls
            samples += self._samples(sender, collected)
            samples += self._token_senders.from_spans(sender, calls.samples(sender))
        forward = body
        if bad:
            for scope, index in reversed(bad):
                del scope.spans[index]
            prune(request.resource_spans, "scope_spans", "spans")
            items -= len(bad)
            forward = request.SerializeToString()
        return Decoded(
            items,
            tuple(samples),
            rejected=len(bad),
            message=f"{len(bad)} spans have an invalid trace or span id" if bad else "",
            forward=forward,
            dropped={"spans_not_agent_tasks": items - used} if items > used else {},
        )

    def _scope(
        self,
        scope: Any,
        groups: dict[Any, _Collected | None],
        collected: _Collection,
        bad: list[tuple[Any, int]],
    ) -> None:
        head, times, unknown, get, cut_of = _HEAD, _TIMES, (), groups.get, self._tails.single_cuts.get
        groups[None] = None
        unseen = (b"", unknown)
        for index, span in enumerate(scope.spans):
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
                self._careful(span, scope, index, collected, bad)
                continue
            at += 18
            cut = cut_of(len(span) - at)
            if cut is None:
                group: Any = get(span[at:], unknown)
            else:
                # tails of this length differ in one value that says nothing: compare what stands before and behind it
                behind, meaning = cut[1].get(span[at : at + cut[0]], unseen)
                group = get(meaning, unknown) if span.endswith(behind) else unknown
            if group is None:
                continue
            if not group or not group.start_ns <= end < group.end_ns:
                group = self._group_of(span[at:], end, groups, collected)
                if group is None:
                    continue
            duration = end - start if end > start else 0
            group.add(duration)
            if duration >= group.longest_ns:
                group.compare(duration, span)

    def _group_of(
        self,
        tail: bytes,
        end_ns: int,
        groups: dict[Any, _Collected | None],
        collected: _Collection,
    ) -> _Collected | None:
        meaning = self._tails.of(tail)
        if meaning is None:
            groups[tail] = None
            return None
        if isinstance(meaning, ModelCall):
            self._count_call(meaning, end_ns, wire.Span.FromString(tail).attributes)
            return None
        group = groups.get(meaning)
        if group is None or not group.start_ns <= end_ns < group.end_ns:
            group = groups[meaning] = self._collect(meaning, end_ns, collected)
        groups[tail] = group
        return group

    def _count_call(self, call: ModelCall, end_ns: int, attributes: Iterable[bytes]) -> None:
        self._n_calls += self._calls.add(call, end_ns, attributes)

    def _understand(self, tail: bytes) -> Meaning | None:
        """Meaning of everything behind the end time; these bytes are a span message without its first fields."""
        try:
            span = wire.Span.FromString(tail)
        except DecodeError as error:
            raise Malformed("a span is not a valid protobuf message") from error
        return self._meaning_of(span)

    def _meaning_of(self, span: Any) -> Meaning | None:
        has_error_status = span.status.code == wire.STATUS_ERROR
        found = self._attributes.read(span.attributes)
        meaning = understand(found, has_error_status=has_error_status)
        if meaning is None:
            return understand_call(found)
        if len(self._unique) >= CACHE_SIZE:
            self._unique.clear()
        return self._unique.setdefault((meaning.agent, meaning.task, meaning.error), meaning)

    def _collect(self, meaning: TaskMeaning, end_ns: int, collected: _Collection) -> _Collected:
        start_ns = end_ns - end_ns % self._interval_ns
        identity = (meaning.agent, bool(meaning.error), start_ns)
        found = collected.get(identity)
        if found is None:
            found = collected[identity] = _Collected(
                start_ns, start_ns + self._interval_ns, is_failed=bool(meaning.error)
            )
        return found

    def _samples(self, sender: Sender, collected: _Collection) -> list[TaskSample]:
        """One sample per agent and pane, in order of first appearance."""
        by_agent: dict[tuple[str, int], list[_Collected]] = {}
        for (agent, _, start_ns), found in collected.items():
            if found.durations:
                by_agent.setdefault((agent, start_ns), []).append(found)
        return [self._sample(sender, agent, start_ns, parts) for (agent, start_ns), parts in by_agent.items()]

    def _sample(self, sender: Sender, agent: str, start_ns: int, parts: list[_Collected]) -> TaskSample:
        durations = parts[0].durations if len(parts) == 1 else [d for part in parts for d in part.durations]
        buckets: dict[int, int] = {}
        sketch.count_into(buckets, durations)
        return TaskSample(
            key=self._key(sender, agent),
            instance=sender.instance,
            source=Source.SPAN,
            time_ns=start_ns,
            covered_ns=0,
            count=len(durations),
            errors=sum([len(part.durations) for part in parts if part.is_failed]),
            sum_ns=sum(durations),
            min_ns=min(durations),
            max_ns=max(durations),
            buckets=buckets,
            exemplars=tuple([self._exemplar(part) for part in parts]),
        )

    def _exemplar(self, part: _Collected) -> Exemplar:
        meaning = self._meaning_of(wire.Span.FromString(part.slowest))
        if not isinstance(meaning, TaskMeaning):
            raise RuntimeError("a collected span is a task")
        return Exemplar(trace_id_of(part.slowest).hex(), part.longest_ns, meaning.task, meaning.error)

    def _key(self, sender: Sender, agent: str) -> PartitionKey:
        who = (sender.namespace, agent or sender.service)
        key = self._keys.get(who)
        if key is None:
            if len(self._keys) >= CACHE_SIZE:
                self._keys.clear()
            key = self._keys[who] = agent_key(sender, agent)
        return key

    def _careful_scope(self, scope: Any, collected: _Collection, bad: list[tuple[Any, int]]) -> None:
        for index, span in enumerate(scope.spans):
            self._careful(span, scope, index, collected, bad)

    def _careful(self, data: bytes, scope: Any, index: int, collected: _Collection, bad: list[tuple[Any, int]]) -> None:
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
            found = self._collect(meaning, end, collected)
            duration = max(0, end - span.start_time_unix_nano)
            found.add(duration)
            if duration >= found.longest_ns:
                found.compare(duration, data)


def _is_valid_id(value: bytes, zero: bytes) -> bool:
    return len(value) == len(zero) and value != zero
