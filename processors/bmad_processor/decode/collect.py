"""Task spans of many requests put together, until the engine is to have them.

A span costs the decoder one list append; everything that costs more than that per group of spans (a histogram, an
exemplar, a step of the engine) is done when the spans are taken. A group stays with its sender from request to request,
so what a span belongs to is found by one look into a dict.

Of the request in hand it is noted how the groups were before (`Collection.touched`), so that one that turns out to be
malformed, or for which there is no room, leaves nothing behind. One that has to wait for a disk is set aside meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bmad_processor import sketch
from bmad_processor.model import Exemplar, PartitionKey, Source, TaskSample

from . import wire
from .attributes import CACHE_SIZE
from .model_calls import agent_key
from .recent import UNBOUNDED, Recent
from .resource import Sender
from .span_meaning import TaskMeaning

_MAX_PANES: Final = 64
"""Panes of one kind of span that are remembered beside the newest; spans of more are put together later instead."""


def trace_id_of(span: bytes) -> bytes:
    """Trace id of the bytes of a span."""
    if span[:2] == b"\n\x10":
        return span[2:18]
    return bytes(wire.Span.FromString(span).trace_id)


class Group:
    """Spans of one kind from one sender that ended in one pane.

    Keeps durations and the slowest span, not the spans: memory that is not held on to stays in the processor's cache.
    """

    __slots__ = ("add", "durations", "end_ns", "kind", "longest_ns", "request", "slowest", "start_ns")

    def __init__(self, kind: Kind, start_ns: int, end_ns: int) -> None:
        self.kind = kind
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.request: object = None
        """The request that was the last to touch it."""
        self.begin()

    def begin(self) -> None:
        """Nothing is collected any more."""
        self.resume([], -1, b"")

    def resume(self, durations: list[int], longest_ns: int, slowest: bytes) -> None:
        """Goes on with what was collected before."""
        self.durations = durations
        self.add = durations.append
        self.longest_ns = longest_ns
        self.slowest = slowest

    def compare(self, duration_ns: int, span: bytes) -> None:
        """For a span at least as slow as all before."""
        if _is_slower(duration_ns, span, self.longest_ns, self.slowest):
            self.longest_ns, self.slowest = duration_ns, span


def _is_slower(duration_ns: int, span: bytes, than_ns: int, than: bytes) -> bool:
    """Of equal durations the one with the smallest trace id stays, so that any order and any split agree."""
    return duration_ns > than_ns or (duration_ns == than_ns and trace_id_of(span) < trace_id_of(than))


Before = tuple[Group, list[int], int, int, bytes]
"""A group, its durations and how many they were, its longest and slowest, before the request in hand."""


class Part(NamedTuple):
    """Spans of one request for one group, set aside."""

    group: Group
    durations: list[int]
    longest_ns: int
    slowest: bytes


class Kind:
    """Spans of one sender that mean the same."""

    __slots__ = ("_older", "latest", "meaning", "sender")

    def __init__(self, sender: Sender, meaning: TaskMeaning, *, start_ns: int, interval_ns: int) -> None:
        self.sender = sender
        self.meaning = meaning
        self.latest = Group(self, start_ns, start_ns + interval_ns)
        self._older: dict[int, Group] | None = None

    def at(self, end_ns: int) -> Group:
        """The group of a span that ended then."""
        latest = self.latest
        if latest.start_ns <= end_ns < latest.end_ns:
            return latest
        interval_ns = latest.end_ns - latest.start_ns
        start_ns = end_ns - end_ns % interval_ns
        older = self._older
        found = older.get(start_ns) if older is not None else None
        if found is None:
            found = Group(self, start_ns, start_ns + interval_ns)
            if older is None or len(older) >= _MAX_PANES:
                older = self._older = {}
            if start_ns > latest.start_ns:
                older[latest.start_ns] = latest
                self.latest = found
            else:
                older[start_ns] = found
        return found

    def forget_older(self) -> None:
        """When everything was taken: spans of panes before the newest have become rare."""
        self._older = None


class SenderGroups:
    """Where the spans of one sender go, by the bytes that say what they mean, or by the meaning."""

    __slots__ = ("groups", "sender")

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.groups: Recent[bytes | TaskMeaning | None, Group | None] = Recent(UNBOUNDED)
        """None for spans that are no tasks. `SpanDecoder` bounds the groups of all senders together."""


class Collection:
    """The spans of all requests since the last time they were taken."""

    def __init__(self) -> None:
        self.request = object()
        """Stands for the request in hand. No two are the same, also of two collections: a group may go from one to the
        other with a request that was set aside."""
        self.touched: list[Before] = []
        self.is_apart = False
        """Whether the request in hand is collected apart from the others, to be set aside."""
        self.n_spans = 0
        """Kept."""
        self._filled: list[Group] = []
        self._keys: Recent[tuple[str, str], PartitionKey] = Recent(CACHE_SIZE)

    def touch(self, group: Group) -> None:
        """Before the first span of the request in hand is added to a group."""
        group.request = self.request
        durations = group.durations
        self.touched.append((group, durations, len(durations), group.longest_ns, group.slowest))
        if self.is_apart:
            group.begin()

    def n_touched(self) -> int:
        """Spans of the request in hand."""
        return sum(
            [len(group.durations) - (n if group.durations is old else 0) for group, old, n, _, _ in self.touched]
        )

    def keep(self) -> None:
        """The request in hand, which was not collected apart, is taken."""
        self.n_spans += self.n_touched()
        self._filled += [group for group, _, n, _, _ in self.touched if not n]
        self.touched.clear()
        self.request = object()

    def undo(self) -> None:
        """The request in hand is not taken."""
        for group, durations, n, longest_ns, slowest in self.touched:
            del durations[n:]
            group.resume(durations, longest_ns, slowest)
        self.touched.clear()
        self.request = object()

    def set_aside(self) -> list[Part]:
        """Takes the request in hand out, to be put back when it is known that it is taken; others go on meanwhile.

        Only when it was collected apart.
        """
        parts = [Part(group, group.durations, group.longest_ns, group.slowest) for group, *_ in self.touched]
        self.undo()
        return parts

    def put_back(self, parts: Sequence[Part]) -> None:
        """Keeps a request that was set aside."""
        self.is_apart = False
        for group, durations, longest_ns, slowest in parts:
            if group.request is not self.request:
                self.touch(group)
            group.durations += durations
            if longest_ns >= group.longest_ns:
                group.compare(longest_ns, slowest)
        self.keep()

    def take(self) -> list[TaskSample]:
        """One sample per agent, instance and pane, in order of first appearance."""
        filled, self._filled, self.n_spans = self._filled, [], 0
        by_sample: dict[tuple[int, str, int], list[Group]] = {}
        for group in filled:
            kind = group.kind
            identity = (id(kind.sender), kind.meaning.agent, group.start_ns)  # the groups keep the senders alive
            found = by_sample.get(identity)
            if found is None:
                by_sample[identity] = [group]
            else:
                found.append(group)
        return [self._sample(groups) for groups in by_sample.values()]

    def _sample(self, groups: list[Group]) -> TaskSample:
        first = groups[0]
        if len(groups) == 1 and len(first.durations) == 1:
            return self._sample_of_one(first)
        sender, agent, start_ns = first.kind.sender, first.kind.meaning.agent, first.start_ns
        durations = first.durations if len(groups) == 1 else [d for group in groups for d in group.durations]
        buckets: dict[int, int] = {}
        sketch.count_into(buckets, durations)
        errors = 0
        slowest: dict[bool, Group] = {}
        for group in groups:
            is_failed = bool(group.kind.meaning.error)
            errors += len(group.durations) if is_failed else 0
            best = slowest.get(is_failed)
            if best is None or _is_slower(group.longest_ns, group.slowest, best.longest_ns, best.slowest):
                slowest[is_failed] = group
        sample = TaskSample(
            key=self._key(sender, agent),
            instance=sender.instance,
            source=Source.SPAN,
            time_ns=start_ns,
            covered_ns=0,
            count=len(durations),
            errors=errors,
            sum_ns=sum(durations),
            min_ns=min(durations),
            max_ns=max(durations),
            buckets=buckets,
            exemplars=tuple([_exemplar(group) for group in slowest.values()]),
        )
        for group in groups:
            group.begin()
            group.kind.forget_older()
        return sample

    def _sample_of_one(self, group: Group) -> TaskSample:
        """As `_sample`, for a single span: what comes of most when agents are many."""
        kind, duration_ns = group.kind, group.durations[0]
        sender, meaning = kind.sender, kind.meaning
        sample = TaskSample(
            self._key(sender, meaning.agent), sender.instance, Source.SPAN, group.start_ns, 0, 1,
            1 if meaning.error else 0, duration_ns, duration_ns, duration_ns, {sketch.index_of(duration_ns): 1},
            (_exemplar(group),),
        )  # fmt: skip
        group.begin()
        kind.forget_older()
        return sample

    def _key(self, sender: Sender, agent: str) -> PartitionKey:
        who = (sender.namespace, agent or sender.service)
        key = self._keys.get(who)
        if key is None:
            try:
                key = self._keys.recall(who)
            except KeyError:
                key = agent_key(sender, agent)
                self._keys.remember(who, key)
        return key


def _exemplar(group: Group) -> Exemplar:
    meaning = group.kind.meaning
    return Exemplar(trace_id_of(group.slowest).hex(), group.longest_ns, meaning.task, meaning.error)
