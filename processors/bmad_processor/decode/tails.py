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

from .attributes import CACHE_SIZE
from .model_calls import ModelCall
from .span_meaning import TaskMeaning

Meaning = TaskMeaning | ModelCall

_Ranges = tuple[tuple[int, int], ...]

_SHAPES_PER_LENGTH: Final = 4
_LENGTHS: Final = 1024
_MEANINGS_PER_SHAPE: Final = 256
_MAX_CUTS: Final = 8
"""More varying values than this in one span: slicing around them costs more than walking."""
MAX_TAIL_LENGTH: Final = 1024
"""A longer tail holds a prompt, an event or a stack trace; nothing is learned from it."""


SingleCut = tuple[int, dict[bytes, tuple[bytes, Meaning | None]]]
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
        self.meanings: dict[bytes, Meaning | None] = {}

    def key(self, tail: bytes) -> bytes:
        return b"".join([tail[part] for part in self.keep]) if self.keep else tail

    def learn(self, tail: bytes) -> None:
        """Cuts the values in which ``tail`` differs from the example."""
        new = {(a, b) for a, b in self.values if tail[a:b] != self.example[a:b]} - self.cuts
        if new and len(self.cuts) + len(new) <= _MAX_CUTS:
            self.cuts |= new
            edges = [0, *(edge for cut in sorted(self.cuts) for edge in cut), len(tail)]
            self.keep = [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
            self.meanings = {}


class Tails:
    """Tail bytes to meaning. ``understand`` parses; it is asked once per meaning and may raise."""

    def __init__(self, wanted: frozenset[bytes], understand: Callable[[bytes], Meaning | None]) -> None:
        self._wanted = wanted
        self._understand = understand
        self._shapes: dict[int, list[_Shape]] = {}
        self.single_cuts: dict[int, SingleCut] = {}
        """For lengths with one structure and one varying value.

        The common case, laid open so that the span loop does it without a call and without hashing the whole tail.
        """
        self._walked: dict[bytes, Meaning | None] = {}
        self._remembered = 0
        """Meanings in all shapes, at least."""
        self.is_repeated = False
        """Whether the last tail `of` was asked for came before, byte for byte: worth remembering as a whole."""

    def of(self, tail: bytes) -> Meaning | None:
        """The meaning of a tail, None when it is of neither a task nor a model call."""
        for shape in self._shapes.get(len(tail), ()):
            try:
                meaning = shape.meanings[shape.key(tail)]
            except KeyError:
                continue
            self.is_repeated = not shape.cuts
            self._lay_open(tail, shape, meaning)
            return meaning
        self.is_repeated = False
        return self._learn(tail)

    def _learn(self, tail: bytes) -> Meaning | None:
        telling, values = walk(tail, self._wanted)
        try:
            meaning = self._walked[telling]
        except KeyError:
            meaning = self._understand(telling)
            if len(self._walked) >= CACHE_SIZE:
                self._walked.clear()
            if len(telling) <= MAX_TAIL_LENGTH:
                self._walked[telling] = meaning
        if len(tail) <= MAX_TAIL_LENGTH:
            if self._remembered >= CACHE_SIZE:
                self._forget()
            shape = self._shape(tail, values)
            shape.learn(tail)
            if len(shape.meanings) >= _MEANINGS_PER_SHAPE:
                self._remembered -= len(shape.meanings)
                shape.meanings.clear()
            self._remembered += 1
            shape.meanings[shape.key(tail)] = meaning
            self._lay_open(tail, shape, meaning)
        return meaning

    def _forget(self) -> None:
        self._shapes.clear()
        self.single_cuts.clear()
        self._remembered = 0

    def _lay_open(self, tail: bytes, shape: _Shape, meaning: Meaning | None) -> None:
        length = len(tail)
        if len(self._shapes[length]) != 1 or len(shape.cuts) != 1:
            self.single_cuts.pop(length, None)
            return
        ((begin, end),) = shape.cuts
        known = self.single_cuts.get(length)
        if known is None or known[0] != begin or len(known[1]) >= _MEANINGS_PER_SHAPE:
            known = self.single_cuts[length] = (begin, {})
        known[1][tail[:begin]] = (tail[end:], meaning)

    def _shape(self, tail: bytes, values: _Ranges) -> _Shape:
        if len(self._shapes) >= _LENGTHS:
            self._forget()
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
