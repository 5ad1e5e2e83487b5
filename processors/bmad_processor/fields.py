"""Typed fields of configuration files: text with units in, base units out.

Every component's ``Config`` is built from these; `quantities` says what is understood, and every refusal what was
expected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from . import quantities
from .quantities import NotUnderstood, split_endpoint

__all__ = [
    "Config", "DurationNs", "Endpoint", "Ratio", "Secret", "SizeBytes", "REDACTED",
    "is_header_value", "parse_duration", "parse_endpoint", "parse_ratio", "parse_size", "split_endpoint",
]  # fmt: skip

T = TypeVar("T")


def _parse(read: Callable[[object], T], value: object) -> T:
    try:
        return read(value)
    except NotUnderstood as error:
        # the loader shows the context entry "expected" beside the value and its line
        raise PydanticCustomError("value", "not understood", {"expected": error.expected}) from error


def parse_duration(value: object) -> int:
    """`quantities.duration_ns`, raising a pydantic error."""
    return _parse(quantities.duration_ns, value)


def parse_size(value: object) -> int:
    """`quantities.size_bytes`, raising a pydantic error."""
    return _parse(quantities.size_bytes, value)


def parse_ratio(value: object) -> float:
    """`quantities.share_ratio`, raising a pydantic error."""
    return _parse(quantities.share_ratio, value)


def parse_endpoint(value: object) -> str:
    """`quantities.endpoint`, raising a pydantic error."""
    return _parse(quantities.endpoint, value)


DurationNs = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=str)]
SizeBytes = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
Ratio = Annotated[float, BeforeValidator(parse_ratio, json_schema_input_type=str | float)]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint, json_schema_input_type=str)]

REDACTED: Final = "[REDACTED]"
"""What is shown of a secret, wherever it is shown."""


class Secret:
    """Text that is never shown: no `repr`, format string, log line or printed configuration has it.

    Not a `str`, because any of those would take the characters out of one. The empty text is refused: a token that is
    empty by mistake would let everybody in.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise PydanticCustomError("value", "empty", {"expected": "a secret that is not empty"})
        self._text = text

    def reveal(self) -> str:
        """The text, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """From text; shown as `REDACTED`."""
        del source, handler
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.to_string_ser_schema(),
            json_schema_input_schema=core_schema.str_schema(),
        )

    @classmethod
    def _read(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str):
            # pydantic's own name for it: the loader then tries the text as it was written, for a token of digits
            raise PydanticCustomError("string_type", "not text")
        return cls(value)


def is_header_value(text: str) -> bool:
    """Whether HTTP and gRPC can carry ``text`` as the value of a header. Their libraries quote what they refuse, which
    is mostly a secret, so it is refused before."""
    return text.isascii() and text.isprintable()


class Config(BaseModel):
    """Base of every component's configuration: frozen, unknown keys refused, an empty block means the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        # `grpc:` with nothing behind it is null in YAML and means "with defaults", as in the OpenTelemetry Collector
        return {} if value is None else value
