"""Values as one JSON text of bounded length, whatever they are.

Every character is paid for before it is written. A container is opened only if its end fits too, and a mapping only
with the keys that fit, each with room for at least ``"[cut]"`` behind it; so the text is valid JSON wherever the budget
ends. Values are visited with a stack of our own, because the program's may be nearly used up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bmad_otel import _guard
from bmad_otel._scalars import Literal, Text
from bmad_otel._secrets import MARGIN, REDACTED, Verdict, denied_words, verdict_on, without_secrets
from bmad_otel._values import Items, Members, key_text, look

if TYPE_CHECKING:
    from bmad_otel._content import Capture

_CUT: Final = '"[cut]"'
"""Stands where the budget of depth, length or time ended."""

_CIRCULAR: Final = '"[circular]"'
_REDACTED: Final = f'"{REDACTED}"'
_REDACTION_FAILED: Final = '"[redaction failed]"'

_SLOT: Final = len(_CUT)
"""Characters kept for each value, so that it can always be said that it was cut."""

_MAX_SLOT: Final = 64
"""Characters kept for each member of a mapping while there is plenty of room: a long member then does not hide the
short ones behind it."""

_MAX_KEY: Final = 256  # characters of a key
_MIN_START: Final = 16  # characters of a text that are worth showing
_STEPS_PER_LOOK: Final = 16  # at the clock, which costs as much as a small value: together well below a millisecond
_SECRET: Final = object()

_Child = tuple[str, str, Any]
"""A part of a container: its key as JSON (a list has none), its name or index, itself."""


class _Place(NamedTuple):
    """Where a value stands."""

    path: str
    """What the hook is told; empty without a hook."""
    depth: int
    numbers_only: bool = False


class _Open:
    """A container that has been begun: what is still to come of it, and what is kept for its end."""

    __slots__ = ("children", "closer", "count", "place", "shown", "slot", "tail", "value")

    def __init__(
        self, value: object, children: Iterator[_Child], *, count: int, closer: str, slot: int, tail: int, place: _Place
    ) -> None:
        self.value = value  # kept alive, so that no other object gets its id meanwhile
        self.children = children
        self.count = count
        self.closer = closer
        self.slot = slot
        self.tail = tail
        self.place = place
        self.shown = 0


class Rendering:
    """One text in the making. Call `of_value` or `of_members`, once."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._deny = denied_words(capture.deny)
        self._max_text = min(capture.max_string, capture.max_length)
        self._room = capture.max_length
        self._out: list[str] = []
        self._open: list[_Open] = []
        self._open_ids: set[int] = set()
        # CPU time, because waiting for the interpreter lock is not our work; but a hook may wait for something itself.
        self._clock = time.thread_time_ns if capture.redact is None else time.perf_counter_ns
        self._deadline_ns = self._clock() + int(capture.max_time_s * 1e9)
        self._steps = 0
        self._is_late = False

    def of_value(self, value: object, path: str) -> str:
        """``value`` as JSON; the hook is told that it is called ``path``."""
        self._room -= _SLOT
        self._say(value, _Place(path, 0), slot=_SLOT, verdict=Verdict.SHOWN)
        return self._finish()

    def of_members(self, members: Iterable[tuple[Any, Any]], count: int) -> str:
        """A JSON object of these names and values, of which there are ``count``."""
        self._begin_object(self, list(islice(members, self._capture.max_items)), count, _Place("", 0))
        return self._finish()

    def _finish(self) -> str:
        while self._open:
            container = self._open[-1]
            if container.closer == "}":
                self._next_member(container)
            else:
                self._next_item(container)
        return "".join(self._out)

    def _next_member(self, container: _Open) -> None:
        for key, name, value in container.children:
            self._out.append(f",{key}:" if container.shown else f"{key}:")  # paid for when the object was begun
            container.shown += 1
            verdict = verdict_on(name, self._deny)
            if container.place.numbers_only and verdict is Verdict.SHOWN:
                verdict = Verdict.NUMBERS
            path = container.place.path
            if self._capture.redact is not None:
                path = f"{path}.{name}" if path else name
            self._say(value, _Place(path, container.place.depth), slot=container.slot, verdict=verdict)
            return
        self._end(container)

    def _next_item(self, container: _Open) -> None:
        comma = "," if container.shown else ""
        if self._room >= len(comma) + _SLOT and not self._late():
            for _, index, value in container.children:
                self._write(comma)
                self._room -= _SLOT
                container.shown += 1
                path, depth, numbers_only = container.place
                place = _Place(path if self._capture.redact is None else f"{path}[{index}]", depth)
                self._say(value, place, slot=_SLOT, verdict=Verdict.NUMBERS if numbers_only else Verdict.SHOWN)
                return
        self._end(container)

    def _end(self, container: _Open) -> None:
        self._open.pop()
        self._open_ids.discard(id(container.value))
        self._room += container.tail
        hidden = container.count - container.shown
        if hidden > 0:
            self._write(_tail(hidden, container.closer)[0 if container.shown else 1 :])
        self._out.append(container.closer)

    def _write(self, piece: str) -> None:
        self._out.append(piece)
        self._room -= len(piece)

    def _write_or_cut(self, piece: str) -> None:
        self._write(piece if len(piece) <= self._room else _CUT)

    def _late(self) -> bool:
        self._steps += 1
        if not self._is_late and (self._steps % _STEPS_PER_LOOK == 0 or self._capture.redact is not None):
            self._is_late = self._clock() > self._deadline_ns
        return self._is_late

    def _say(self, value: object, place: _Place, *, slot: int, verdict: Verdict) -> None:
        """Write ``value``, for which ``slot`` characters have been kept."""
        self._room += slot
        if self._late():
            self._write(_CUT)
            return
        if verdict is Verdict.SECRET or value is _SECRET:
            self._write_or_cut(_REDACTED)
            return
        if self._capture.redact is not None:
            try:
                value = self._capture.redact(place.path, value)
            except Exception as error:  # noqa: BLE001 - the hook is the user's; without its answer nothing may be shown
                _guard.warn_once(
                    "redact",
                    "bmad_otel: the redact function of Capture raised %s; such values are left out, this is said once",
                    type(error).__name__,
                )
                self._write_or_cut(_REDACTION_FAILED)
                return
        numbers_only = verdict is Verdict.NUMBERS
        match look(value, self._capture.max_items, self._max_text + MARGIN):
            case Literal(json):
                self._write_or_cut(json)
            case Text() if numbers_only:
                self._write_or_cut(_REDACTED)
            case Text(start, length):
                self._say_text(start, length)
            case Items() | Members() as parts:
                self._begin(value, parts, _Place(place.path, place.depth + 1, numbers_only))

    def _say_text(self, start: str, length: int) -> None:
        clean = without_secrets(start, self._max_text, self._deny)
        note = f"... ({length} characters)"
        piece = _quoted(clean + note if length > self._max_text else clean)
        keep = min(len(clean), self._room - len(note) - 2)
        while len(piece) > self._room:
            if keep < _MIN_START:
                piece = _CUT
                break
            piece = _quoted(clean[:keep] + note)
            keep //= 2  # escapes take more than one character each
        self._write(piece)

    def _begin(self, value: object, parts: Items | Members, place: _Place) -> None:
        if id(value) in self._open_ids:
            self._write_or_cut(_CIRCULAR)
        elif place.depth > self._capture.max_depth and parts.size:
            self._write(_CUT)
        elif isinstance(parts, Members):
            self._begin_object(value, parts.pairs, parts.size, place)
        else:
            self._begin_list(value, parts.values, parts.size, place)

    def _begin_list(self, value: object, values: list[Any], count: int, place: _Place) -> None:
        if len(values) == 2 and type(values[0]) is str and len(values[0]) <= _MAX_KEY:
            name, _ = values
            if verdict_on(name, self._deny) is Verdict.SECRET:
                values = [name, _SECRET]  # ("Authorization", "Basic ..."), as libraries keep headers
        tail = len(_tail(count, "]")) if count else 0
        if self._room < len("[]") + tail:
            self._write(_CUT)
            return
        self._write("[")
        self._room -= len("]") + tail
        children = (("", str(index), item) for index, item in enumerate(values))
        self._enter(_Open(value, children, count=count, closer="]", slot=_SLOT, tail=tail, place=place))

    def _begin_object(self, value: object, pairs: list[tuple[Any, Any]], count: int, place: _Place) -> None:
        tail = len(_tail(count, "}")) if count else 0
        if self._room < len("{}") + tail:
            self._write(_CUT)
            return
        self._write("{")
        self._room -= len("}") + tail
        members: list[_Child] = []
        taken = {"...": 1}
        for key, part in pairs:
            name, shown = _key(key, taken, self._deny)
            cost = len(shown) + len(",:") + _SLOT
            if cost > self._room:
                break
            self._room -= cost
            members.append((shown, name, part))
        extra = min(_MAX_SLOT - _SLOT, self._room // (2 * len(members))) if members else 0
        self._room -= extra * len(members)
        self._enter(_Open(value, iter(members), count=count, closer="}", slot=_SLOT + extra, tail=tail, place=place))

    def _enter(self, container: _Open) -> None:
        self._open.append(container)
        self._open_ids.add(id(container.value))


def _key(key: object, taken: dict[str, int], deny: tuple[str, ...]) -> tuple[str, str]:
    """The name to judge by, and the key as JSON, unlike all others of its object."""
    text = key_text(key, _MAX_KEY + MARGIN)
    shown = unique = without_secrets(text.start, _MAX_KEY, deny) + ("..." if text.length > _MAX_KEY else "")
    while unique in taken:
        taken[shown] += 1
        unique = f"{shown} ({taken[shown]})"
    taken[unique] = 1
    return text.start, _quoted(unique)


def _tail(hidden: int, closer: str) -> str:
    return f',"...":"({hidden} more)"' if closer == "}" else f',"... ({hidden} more)"'


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: cannot be sent but as an escape
        return encode_basestring_ascii(text)
    return encode_basestring(text)
