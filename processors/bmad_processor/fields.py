"""Typed fields of configuration files: text with units in, base units out.

Every component's ``Config`` is built from these, so that `5s`, `64MiB` and `60%` mean the same everywhere and every
refusal says what was expected.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.addresses import is_endpoint

_DURATION_NS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000,
}  # fmt: skip
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")

_SIZES: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30,
}  # fmt: skip
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B)", re.IGNORECASE)

_MAX_TEXT: Final = 64
"""No quantity is longer; a few hundred digits would overflow."""


def _refuse(expected: str) -> PydanticCustomError:
    # the loader shows the context entry "expected" beside the value and its line
    return PydanticCustomError("value", "not understood", {"expected": expected})


def parse_duration(value: object) -> int:
    """``5s``, ``1m30s``, ``500ms`` as nanoseconds. Raises a pydantic error for anything else, bare numbers included."""
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        text = value.strip().replace(" ", "")
        parts = _DURATION_PART.findall(text)
        if parts and "".join(n + u for n, u in parts) == text:
            return round(sum(float(n) * _DURATION_NS[u] for n, u in parts))
        if text == "0":
            return 0
    if value == 0 and not isinstance(value, bool):
        return 0
    raise _refuse("a duration with its unit, such as 5s, 500ms or 1m30s")


def parse_size(value: object) -> int:
    """``64MiB`` or a number of bytes as bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, str) and len(value) <= _MAX_TEXT and (match := _SIZE.fullmatch(value.strip())):
        return round(float(match[1]) * _SIZES[match[2].upper()])
    raise _refuse("a size such as 64MiB, or a number of bytes")


def parse_ratio(value: object) -> float:
    """``60%`` or ``0.6`` as 0.6. A bare number above 1 is refused: it is almost surely a forgotten percent sign."""
    number: float | None = None
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        text = value.strip()
        try:
            number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            number = None
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        number = float(value)
    if number is not None and 0 <= number <= 1:
        return number
    raise _refuse("a share such as 60%, or 0 to 1")


def parse_endpoint(value: object) -> str:
    """``host:port``; port 0 asks for any free port. A host is needed: say ``0.0.0.0:4317`` to mean all."""
    if isinstance(value, str) and is_endpoint(value):
        return value
    raise _refuse("an address as host:port, such as localhost:4317")


DurationNs = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=str)]
SizeBytes = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
Ratio = Annotated[float, BeforeValidator(parse_ratio, json_schema_input_type=str | float)]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint, json_schema_input_type=str)]


class Config(BaseModel):
    """Base of every component's configuration: frozen, unknown keys refused, an empty block means the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        # `grpc:` with nothing behind it is null in YAML and means "with defaults", as in the OpenTelemetry Collector
        return {} if value is None else value
