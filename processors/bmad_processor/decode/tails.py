"""Meaning of a span's tail (everything behind its end time), remembered although some attribute is new in every span.

Spans of one kind from one encoder differ in a few attribute values that say nothing to us: ids, token counts, thread
names. For each structure (length of the tail and places of its attribute values) this module learns which of those
values vary, and remembers meanings by the tail with them cut out. What is left contains every tag, key and length, so
an equal rest means an equal structure, checked once by the protobuf parser. A lookup costs about 0.4 us; walking the
attributes about 2 us; parsing them about 6 us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .model_calls import ModelCall
from .recent import UNBOUNDED, Recent
from .span_meaning import TaskMeaning

Meaning = TaskMeaning | ModelCall

_Ranges = tuple[tuple[int, int], ...]

_SHAPES_PER_LENGTH: Final = 4
_LENGTHS: Final = 1024
_ENTRY_BYTES: Final = 250
"""What a remembered meaning takes beside its key."""
_MAX_CUTS: Final = 8
"""More varying values than this in one span: slicing around them costs more than walking."""
MAX_TAIL_LENGTH: Final = 1024
"""A longer tail holds a prompt, an event or a stack trace; nothing is learned from it."""


SingleCut = tuple[int, Recent[bytes, tuple[bytes, Meaning | None]]]
"""Where the varying value begins; by what stands before it: what stands behind it, and the meaning."""


class _Shape:
    """Tails of one structure."""

    __slots__ = ("cuts", "example", "keep", "meanings", "values")

    def __init__(self, example: bytes, values: _Ranges) -> None:
        self.example = example
        self.values = values
        """Places of the values of attributes that say nothing."""
        self.cuts: set[tuple[int, int]] = set()
        """Those of them that were seen to vary."""
        self.keep: list[slice] = []
        """The tail without the cuts; empty when nothing varies."""
        self.meanings: Recent[bytes, Meaning | None] = Recent(UNBOUNDED)

    def key(self, tail: bytes) -> bytes:
        return b"".join([tail[part] for part in self.keep]) if self.keep else tail

    def learn(self, tail: bytes) -> None:
        """Cuts the values in which ``tail`` differs from the example."""
        new = {(a, b) for a, b in self.values if tail[a:b] != self.example[a:b]} - self.cuts
        if new and len(self.cuts) + len(new) <= _MAX_CUTS:
            self.cuts |= new
            edges = [0, *(edge for cut in sorted(self.cuts) for edge in cut), len(tail)]
            self.keep = [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
            self.meanings = Recent(UNBOUNDED)


class Tails:
    """Tail bytes to meaning. ``understand`` parses; it is asked once per meaning and may raise."""

    def __init__(
        self, wanted: frozenset[bytes], understand: Callable[[bytes], Meaning | None], *, budget_bytes: int
    ) -> None:
        """``budget_bytes`` of meanings are remembered per generation."""
        self._budget_bytes = budget_bytes
        self._wanted = wanted
        self._understand = understand
        self._shapes: dict[int, list[_Shape]] = {}
        self.single_cuts: dict[int, SingleCut] = {}
        """For lengths with one structure and one varying value.

        The common case, laid open so that the span loop does it without a call and without hashing the whole tail.
        """
        self._walked: Recent[bytes, Meaning | None] = Recent(UNBOUNDED)
        self._remembered_bytes = 0
        """In the young generations, about."""
        self.is_repeated = False
        """Whether the last tail `of` was asked for came before, byte for byte: worth remembering as a whole."""

    def of(self, tail: bytes) -> Meaning | None:
        """The meaning of a tail, None when it is of neither a task nor a model call."""
        self.is_repeated = False
        cut = self.single_cuts.get(len(tail))
        if cut is not None:
            try:
                behind, meaning = cut[1].recall(tail[: cut[0]])
            except KeyError:
                pass
            else:
                if tail.endswith(behind):
                    return meaning
        for shape in self._shapes.get(len(tail), ()):
            try:
                meaning = shape.meanings.recall(shape.key(tail))
            except KeyError:
                continue
            self.is_repeated = not shape.cuts
            return meaning
        return self._learn(tail)

    def _learn(self, tail: bytes) -> Meaning | None:
        telling, values = walk(tail, self._wanted)
        try:
            meaning = self._walked.recall(telling)
        except KeyError:
            meaning = self._understand(telling)
            if len(telling) <= MAX_TAIL_LENGTH:
                self._note(len(telling))
                self._walked.remember(telling, meaning)
        if len(tail) <= MAX_TAIL_LENGTH:
            self._note(len(tail))
            shape = self._shape(tail, values)
            shape.learn(tail)
            if not self._lay_open(tail, shape, meaning):
                shape.meanings.remember(shape.key(tail), meaning)
        return meaning

    def _note(self, n_bytes: int) -> None:
        """Before something is remembered: when it is enough, everything remembered becomes old."""
        self._remembered_bytes += n_bytes + _ENTRY_BYTES
        if self._remembered_bytes <= self._budget_bytes:
            return
        self._remembered_bytes = 0
        self._walked.age()
        for shapes in self._shapes.values():
            for shape in shapes:
                shape.meanings.age()
        for _, known in self.single_cuts.values():
            known.age()

    def _lay_open(self, tail: bytes, shape: _Shape, meaning: Meaning | None) -> bool:
        length = len(tail)
        if len(self._shapes[length]) != 1 or len(shape.cuts) != 1:
            self.single_cuts.pop(length, None)
            return False
        ((begin, end),) = shape.cuts
        known = self.single_cuts.get(length)
        if known is None or known[0] != begin:
            known = self.single_cuts[length] = (begin, Recent(UNBOUNDED))
        before, behind = tail[:begin], tail[end:]
        other = known[1].get(before)
        if other is not None and other[0] != behind:
            return False  # what tells them apart stands behind the varying value
        known[1].remember(before, (behind, meaning))
        return True

    def _shape(self, tail: bytes, values: _Ranges) -> _Shape:
        if len(self._shapes) >= _LENGTHS and len(tail) not in self._shapes:
            oldest = next(iter(self._shapes))
            del self._shapes[oldest]
            self.single_cuts.pop(oldest, None)
        shapes = self._shapes.setdefault(len(tail), [])
        for shape in shapes:
            if shape.values == values:
                return shape
        if len(shapes) >= _SHAPES_PER_LENGTH:
            del shapes[0]
        shapes.append(_Shape(tail, values))
        return shapes[-1]


def walk(tail: bytes, wanted: frozenset[bytes]) -> tuple[bytes, _Ranges]:
    """``tail`` without the attributes whose key is not wanted, and where the values of those are.

    Follows the length prefixes; from the first thing it does not know (an attribute of 16 KiB or more, a key of 128
    bytes or more, an event, a status) on everything is kept.
    The first result is again a span without its beginning when ``tail`` is one.
    """
    at, size = 0, len(tail)
    kept, values = [], []
    try:
        while at < size and tail[at] == 0x4A:
            length = tail[at + 1]
            if length < 0x80:
                start = at + 2
            elif tail[at + 2] < 0x80:
                length = (length & 0x7F) | tail[at + 2] << 7
                start = at + 3
            else:
                break
            end = start + length
            if end > size or tail[start] != 0x0A or tail[start + 1] >= 0x80:
                break
            value_at = start + 2 + tail[start + 1]
            if tail[start + 2 : value_at] in wanted:
                kept.append(tail[at:end])
            elif value_at < end:
                values.append((value_at, end))
            at = end
    except IndexError:
        pass  # cut off in the middle: the parser will say so
    kept.append(tail[at:])
    return b"".join(kept), tuple(values)
