"""Arguments and results as bounded text: what is captured, and how a call's arguments are named.

Off unless the decorator or OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it. The modules that turn values
into text are loaded by then only.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bmad_otel import _guard

VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The variable of OpenTelemetry's GenAI instrumentations."""

_ON_SPANS: Final = frozenset({"span_only", "span_and_event", "true"})
_NOT_ON_SPANS: Final = frozenset({"", "no_content", "event_only", "false"})  # this package writes no content events

_MIN_LENGTH: Final = 64  # room for a name, a value that was cut, and the number of the others

_MAX_NAME: Final = 256  # characters of a name in `Capture.deny`

_RECEIVERS: Final = ("self", "cls")


@dataclass(frozen=True, slots=True)
class Capture:
    """What of a call's arguments and result is written to its span, as JSON text, and within which bounds.

    A value with a secret's name is shown as ``"[redacted]"``, and so is what has a secret's shape within a text. What
    is beyond a bound is shown as ``"[cut]"``, or as the number of what is left out. Objects are shown by the name of
    their type, except dataclasses, attrs classes, pydantic models and named tuples, whose fields are read (but those
    with ``repr=False``). None of it runs code of the values.

    Raises TypeError or ValueError naming the field that is wrong.
    """

    arguments: bool = True
    """Whether arguments are captured, under the names of the parameters, without ``self`` and ``cls``."""
    result: bool = True
    """Whether what the function returns is captured."""
    max_depth: int = 6
    """Containers within containers that are opened."""
    max_items: int = 50
    """Parts that are shown of each container."""
    max_string: int = 1000
    """Characters that are shown of each text."""
    max_length: int = 8192
    """Characters of the JSON text as a whole; at least 64."""
    max_time_s: float = 0.005
    """Seconds of CPU time the text of one call's arguments, or result, may take; of elapsed time if there is a
    ``redact``."""
    deny: tuple[str, ...] = ()
    """Names of further secrets. A value is redacted if the words of its name contain these words in this order:
    ``"customer id"`` is found in ``customer_id`` and in ``oldCustomerID``."""
    redact: Callable[[str, object], object] | None = None
    """Called with the path and the value of whatever is about to be shown, such as ``messages[0].text`` or
    ``result.name``; what it returns is shown instead. It is not asked about values with a secret's name, and what it
    returns is searched for secrets as well. If it raises, the value is ``"[redaction failed]"``."""

    def __post_init__(self) -> None:
        import bmad_otel._render  # noqa: F401 - loaded when content is asked for, not within the first call

        for name in ("arguments", "result"):
            if not isinstance(value := getattr(self, name), bool):
                raise TypeError(f"Capture: {name} must be True or False, not {value!r}")
        for name, least in (("max_depth", 1), ("max_items", 1), ("max_string", 1), ("max_length", _MIN_LENGTH)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"Capture: {name} must be an int, not {value!r}")
            if value < least:
                raise ValueError(f"Capture: {name} must be at least {least}, not {value!r}")
        if isinstance(self.max_time_s, bool) or not isinstance(self.max_time_s, int | float):
            raise TypeError(f"Capture: max_time_s must be a number of seconds, not {self.max_time_s!r}")
        if not math.isfinite(self.max_time_s) or self.max_time_s <= 0:
            raise ValueError(f"Capture: max_time_s must be a positive number of seconds, not {self.max_time_s!r}")
        if self.redact is not None and not callable(self.redact):
            raise TypeError(f"Capture: redact must be a function of a path and a value, or None, not {self.redact!r}")
        object.__setattr__(self, "deny", _checked_names(self.deny))


def _checked_names(deny: object) -> tuple[str, ...]:
    if not isinstance(deny, tuple | list):
        raise TypeError(f"Capture: deny must be a tuple of names, not {deny!r}")
    for name in deny:
        if not isinstance(name, str):
            raise TypeError(f"Capture: deny must hold names as str, not {name!r}")
        if len(name) > _MAX_NAME or not any(map(str.isalpha, name)):
            raise ValueError(
                f"Capture: deny must hold names with letters, of at most {_MAX_NAME} characters, not {name!r}"
            )
    return tuple(map(str, deny))


def default_capture() -> Capture | None:
    """What OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for; None if that is nothing on spans.

    Its values are those of opentelemetry-util-genai, NO_CONTENT, SPAN_ONLY, EVENT_ONLY and SPAN_AND_EVENT, and ``true``
    and ``false`` of the instrumentations before it, in any case. One warning is logged for any other value.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value.lower() in _ON_SPANS:
        return Capture()
    if value.lower() not in _NOT_ON_SPANS:
        _guard.warn_once(
            f"{VARIABLE}={value}",
            "bmad_otel: %s: %r is ignored and no content is captured; known are NO_CONTENT, SPAN_ONLY, EVENT_ONLY, "
            "SPAN_AND_EVENT, true and false",
            VARIABLE,
            value,
        )
    return None


@dataclass(frozen=True, slots=True)
class ArgumentNames:
    """The names a call's positional arguments have in the function, found once."""

    positional: tuple[str, ...] = ()
    rest: str | None = None
    """The name of ``*args``."""
    receiver: str | None = None
    """``self`` or ``cls`` if that is the first parameter: what it is bound to is never captured."""

    @classmethod
    def of(cls, function: object) -> ArgumentNames:
        """The names of ``function``; none if it cannot be asked, as some built-in ones: positions are shown then."""
        try:
            if isinstance(function, classmethod | staticmethod):
                function = function.__func__
            parameters = tuple(_signature(function).parameters.values())
        except Exception:  # noqa: BLE001 - TypeError and ValueError; annotations and __signature__ may raise anything
            return cls()
        positional = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
        rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        receiver = positional[0] if positional and positional[0] in _RECEIVERS else None
        return cls(positional, rest, receiver)

    def pairs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
        """Name and value of what the caller passed, without the receiver; defaults are not what the caller passed."""
        skipped = 0 if self.receiver is None else 1
        known = len(self.positional)
        yield from zip(self.positional[skipped:], args[skipped:known], strict=False)
        if self.rest is not None and len(args) > known:
            yield self.rest, args[known:]
        elif len(args) > known:
            yield from ((str(index), args[index]) for index in range(known, len(args)))
        for name, value in kwargs.items():
            if args or not self._is_receiver(name):
                yield name, value

    def _is_receiver(self, name: object) -> bool:
        return type(name) is str and name == self.receiver

    def count(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
        """How many `pairs` there are."""
        known = len(self.positional)
        given = len(args) if self.rest is None else min(len(args), known) + (len(args) > known)
        receiver = self.receiver is not None and (bool(args) or any(map(self._is_receiver, kwargs)))
        return given + len(kwargs) - receiver


def _signature(function: Any) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # where annotations are run when somebody looks at them
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.STRING)
    return inspect.signature(function)


def arguments_text(names: ArgumentNames, args: tuple[Any, ...], kwargs: Mapping[str, Any], capture: Capture) -> str:
    """The arguments of one call as a JSON object of at most ``capture.max_length`` characters. Never raises."""
    try:
        from bmad_otel._render import Rendering

        return Rendering(capture).of_members(names.pairs(args, kwargs), names.count(args, kwargs))
    except RecursionError:  # the program had nearly used up its stack when it called: no fault of ours
        return '{"...":"[failed]"}'
    except Exception as error:  # noqa: BLE001 - the program we observe goes on whatever happened here
        _guard.contain("capturing arguments", error)
        return '{"...":"[failed]"}'


def result_text(value: object, capture: Capture) -> str:
    """What a call returned, as JSON of at most ``capture.max_length`` characters. Never raises."""
    try:
        from bmad_otel._render import Rendering

        return Rendering(capture).of_value(value, "result")
    except RecursionError:  # as above
        return '"[failed]"'
    except Exception as error:  # noqa: BLE001 - as above
        _guard.contain("capturing a result", error)
        return '"[failed]"'
