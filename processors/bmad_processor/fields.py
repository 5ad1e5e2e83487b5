"""Typed fields of configuration files: text with units in, base units out.

Every component's ``Config`` is built from these; `quantities` says what is understood, and every refusal what was
expected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from . import quantities
from .quantities import NotUnderstood, split_endpoint

__all__ = [
    "Config", "DurationNs", "Endpoint", "Ratio", "SizeBytes",
    "parse_duration", "parse_endpoint", "parse_ratio", "parse_size", "split_endpoint",
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


class Config(BaseModel):
    """Base of every component's configuration: frozen, unknown keys refused, an empty block means the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        # `grpc:` with nothing behind it is null in YAML and means "with defaults", as in the OpenTelemetry Collector
        return {} if value is None else value
