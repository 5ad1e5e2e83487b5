"""What agents hand to a tracer, as attributes a span can carry: plain values, bounded, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from bmad_otel._content import Capture, result_text
from bmad_otel._labels import AttributeValue
from bmad_otel._secrets import MARGIN, REDACTED, Verdict, verdict_on, without_secrets

MAX_ATTRIBUTES: Final = 32
"""Attributes taken from one mapping: what BMAD's own configuration allows a span."""

_MAX_KEY: Final = 255  # characters
_MAX_TEXT: Final = 1024  # characters of a value: enough for a sentence, too little for a document
_MAX_INT: Final = 2**63  # what OTLP can carry


def span_attributes(given: object) -> dict[str, AttributeValue]:
    """The members of a mapping; anything else becomes the attribute ``value``, and None nothing.

    Texts are cut, lists and objects become JSON text, and whatever has the name or the look of a secret is left out, as
    captured arguments are.
    """
    if given is None:
        return {}
    members = given if isinstance(given, Mapping) else {"value": given}
    return {
        str(key)[:_MAX_KEY]: attribute(str(key), value)
        for key, value in islice(members.items(), MAX_ATTRIBUTES)
        if str(key) and value is not None
    }


def attribute(key: str, value: object) -> AttributeValue:
    """``value`` as the attribute ``key`` may carry it."""
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if -_MAX_INT <= value < _MAX_INT else str(value)[:_MAX_TEXT]
    if verdict_on(key) is Verdict.SECRET:
        return REDACTED
    if isinstance(value, str):
        return without_secrets(str(value[: _MAX_TEXT + MARGIN]), _MAX_TEXT, ())
    return result_text(value, Capture(max_length=_MAX_TEXT))
