"""From the bytes of an `ExportTraceServiceRequest` to task samples. The hot path of the collector.

What makes it fast, each measured by ``benchmarks/receive.py``:

* spans stay ``bytes`` (`wire.ScopeSpans`): no protobuf object per span;
* ids, parent, name and kind come first and in order in what every known SDK writes, so start and end are read by one
  ``struct`` call at a computed place; a span laid out otherwise takes `_careful`, which is slower and says the same;
* everything behind the end time (attributes, status, flags) is one slice, the tail: spans of one kind share it or
  differ in values that say nothing (`tails`), so its meaning is one or two dict lookups;
* durations are collected in lists and become a histogram per agent, not per span.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from bmad_processor import sketch
from bmad_processor.errors import Malformed
from bmad_processor.model import Exemplar, PartitionKey, Source, TaskSample

from . import wire
from .attributes import CACHE_SIZE, Attributes
from .resource import Sender, Senders
from .result import Decoded
from .span_meaning import WANTED, TaskMeaning, understand
from .tails import Tails

_TIMES: Final = struct.Struct("<BQBQ").unpack_from  # tag and value of start_time_unix_nano, then of end_time_unix_nano
_START_TAG: Final = 0x39
_END_TAG: Final = 0x41
_ZERO_TRACE_ID: Final = bytes(16)
_ZERO_SPAN_ID: Final = bytes(8)
_ZERO_SPAN_FIELD: Final = b"\x12\x08" + _ZERO_SPAN_ID

_MISSES_TO_GIVE_UP: Final = 8
"""When most tails of a scope were new, they are no longer looked up whole: hashing them is not free."""

# low and high end of the pane, then where duration and span go
_Group = tuple[int, int, Callable[[int], None], Callable[[bytes], None]]


class _Collected:
    """Spans of one meaning in one pane of one sender."""

    __slots__ = ("durations", "group", "meaning", "spans")

    def __init__(self, meaning: TaskMeaning, start_ns: int, end_ns: int) -> None:
        self.meaning = meaning
        self.durations: list[int] = []
        self.spans: list[bytes] = []
        self.group: _Group = (start_ns, end_ns, self.durations.append, self.spans.append)

    def exemplar(self) -> Exemplar:
        """The slowest span; of equally slow ones that with the smallest trace id, so that any split agrees."""
        durations = self.durations
        longest = max(durations)
        if durations.count(longest) == 1:
            trace_id = trace_id_of(self.spans[durations.index(longest)])
        else:
            trace_id = min(trace_id_of(s) for s, d in zip(self.spans, durations, strict=True) if d == longest)
        return Exemplar(trace_id.hex(), longest, self.meaning.task, self.meaning.error)


def trace_id_of(span: bytes) -> bytes:
    """Trace id of the bytes of a span."""
    if span[:2] == b"\n\x10":
        return span[2:18]
    return bytes(wire.Span.FromString(span).trace_id)


class SpanDecoder:
    """Decodes trace requests; keeps what it learned about attribute bytes, within bounds. Not thread-safe."""

    def __init__(self, *, interval_ns: int, senders: Senders) -> None:
        self._interval_ns = interval_ns
        self._senders = senders
        self._attributes = Attributes(WANTED)
        self._tails = Tails(self._attributes.wanted, self._understand)
        self._unique: dict[tuple[str, str, str], TaskMeaning] = {}
        self._keys: dict[tuple[str, str], PartitionKey] = {}

    def decode(self, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a trace request."""
        try:
            request = wire.TraceRequest.FromString(body)
        except DecodeError as error:
            raise Malformed("body is not a valid ExportTraceServiceRequest") from error
        # two searches over the whole body instead of two comparisons per span
        has_zeros = _ZERO_TRACE_ID in body or _ZERO_SPAN_FIELD in body
        samples: list[TaskSample] = []
        items = used = 0
        bad: list[tuple[Any, int]] = []
        for resource_spans in request.resource_spans:
            sender = self._senders.of(resource_spans.resource)
            collected: dict[tuple[TaskMeaning, int], _Collected] = {}
            groups: dict[Any, _Group | None] = {}
            for scope in resource_spans.scope_spans:
                items += len(scope.spans)
                if has_zeros:
                    self._careful_scope(scope, collected, bad)
                else:
                    self._scope(scope, groups, collected, bad)
            used += sum(len(c.durations) for c in collected.values())
            samples += self._samples(sender, collected)
        forward = body
        if bad:
            for scope, index in reversed(bad):
                del scope.spans[index]
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
        groups: dict[Any, _Group | None],
        collected: dict[tuple[TaskMeaning, int], _Collected],
        bad: list[tuple[Any, int]],
    ) -> None:
        times, unknown, get, cut_of = _TIMES, (), groups.get, self._tails.single_cuts.get
        groups[None] = None
        misses = 0
        for index, span in enumerate(scope.spans):
            try:
                # trace id at 2..18, span id at 20..28, then perhaps a parent, then a name shorter than 128 bytes
                if span[0] != 0x0A or span[1] != 16 or span[18] != 0x12 or span[19] != 8:
                    self._careful(span, scope, index, collected, bad)
                    continue
                at = 38 if span[28] == 0x22 and span[29] == 8 else 28
                if span[at] == 0x2A and span[at + 1] < 0x80:
                    at += 2 + span[at + 1]
                if span[at] == 0x30 and span[at + 1] < 0x80:
                    at += 2
                start_tag, start, end_tag, end = times(span, at)
            except (IndexError, ValueError, struct.error):
                self._careful(span, scope, index, collected, bad)
                continue
            if start_tag != _START_TAG or end_tag != _END_TAG:
                self._careful(span, scope, index, collected, bad)
                continue
            tail = span[at + 18 :]
            group: Any = unknown
            if misses < _MISSES_TO_GIVE_UP or misses + misses < index:
                group = get(tail, unknown)
            elif (cut := cut_of(len(tail))) is not None:
                # tails that are all different: look up the part that repeats
                a, b, meanings = cut
                group = get(meanings.get(tail[:a] + tail[b:], unknown), unknown)
            if group is None:
                continue
            if not group or not group[0] <= end < group[1]:
                misses += 1
                group = self._group_of(tail, end, groups, collected)
                if group is None:
                    continue
            group[2](end - start if end > start else 0)
            group[3](span)

    def _group_of(
        self,
        tail: bytes,
        end_ns: int,
        groups: dict[Any, _Group | None],
        collected: dict[tuple[TaskMeaning, int], _Collected],
    ) -> _Group | None:
        meaning = self._tails.of(tail)
        if meaning is None:
            groups[tail] = None
            return None
        group = groups.get(meaning)
        if group is None or not group[0] <= end_ns < group[1]:
            group = groups[meaning] = self._collect(meaning, end_ns, collected).group
        groups[tail] = group
        return group

    def _understand(self, tail: bytes) -> TaskMeaning | None:
        """Meaning of everything behind the end time; these bytes are a span message without its first fields."""
        try:
            span = wire.Span.FromString(tail)
        except DecodeError as error:
            raise Malformed("a span is not a valid protobuf message") from error
        return self._meaning_of(span)

    def _meaning_of(self, span: Any) -> TaskMeaning | None:
        has_error_status = span.status.code == wire.STATUS_ERROR
        meaning = understand(self._attributes.read(span.attributes), has_error_status=has_error_status)
        if meaning is None:
            return None
        if len(self._unique) >= CACHE_SIZE:
            self._unique.clear()
        return self._unique.setdefault((meaning.agent, meaning.task, meaning.error), meaning)

    def _collect(
        self, meaning: TaskMeaning, end_ns: int, collected: dict[tuple[TaskMeaning, int], _Collected]
    ) -> _Collected:
        start_ns = end_ns - end_ns % self._interval_ns
        found = collected.get((meaning, start_ns))
        if found is None:
            found = collected[meaning, start_ns] = _Collected(meaning, start_ns, start_ns + self._interval_ns)
        return found

    def _samples(self, sender: Sender, collected: dict[tuple[TaskMeaning, int], _Collected]) -> list[TaskSample]:
        """One sample per agent and pane, in order of first appearance."""
        by_agent: dict[tuple[str, int], list[_Collected]] = {}
        for (meaning, start_ns), found in collected.items():
            if found.durations:
                by_agent.setdefault((meaning.agent, start_ns), []).append(found)
        return [
            _sample(sender, self._key(sender, agent), start_ns, parts) for (agent, start_ns), parts in by_agent.items()
        ]

    def _key(self, sender: Sender, agent: str) -> PartitionKey:
        name = agent or sender.service or "unknown"
        key = self._keys.get((sender.namespace, name))
        if key is None:
            if len(self._keys) >= CACHE_SIZE:
                self._keys.clear()
            key = self._keys[sender.namespace, name] = PartitionKey("agent", sender.namespace, name)
        return key

    def _careful_scope(self, scope: Any, collected: Any, bad: list[tuple[Any, int]]) -> None:
        for index, span in enumerate(scope.spans):
            self._careful(span, scope, index, collected, bad)

    def _careful(self, data: bytes, scope: Any, index: int, collected: Any, bad: list[tuple[Any, int]]) -> None:
        """One span in any layout, ids checked."""
        try:
            span = wire.Span.FromString(data)
        except DecodeError as error:
            raise Malformed("a span is not a valid protobuf message") from error
        if not _is_valid_id(span.trace_id, _ZERO_TRACE_ID) or not _is_valid_id(span.span_id, _ZERO_SPAN_ID):
            bad.append((scope, index))
            return
        meaning = self._meaning_of(span)
        if meaning is not None:
            end = span.end_time_unix_nano
            found = self._collect(meaning, end, collected)
            found.durations.append(max(0, end - span.start_time_unix_nano))
            found.spans.append(data)


def _is_valid_id(value: bytes, zero: bytes) -> bool:
    return len(value) == len(zero) and value != zero


def _sample(sender: Sender, key: PartitionKey, start_ns: int, parts: list[_Collected]) -> TaskSample:
    durations = parts[0].durations if len(parts) == 1 else [d for part in parts for d in part.durations]
    buckets: dict[int, int] = {}
    sketch.count_into(buckets, durations)
    return TaskSample(
        key=key,
        instance=sender.instance,
        source=Source.SPAN,
        time_ns=start_ns,
        covered_ns=0,
        count=len(durations),
        errors=sum(len(part.durations) for part in parts if part.meaning.error),
        sum_ns=sum(durations),
        min_ns=min(durations),
        max_ns=max(durations),
        buckets=buckets,
        exemplars=tuple(part.exemplar() for part in parts),
    )
