"""Types of options that may be left empty: ``profiles:`` with nothing behind it is an empty list, as blocks are."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator


def _or_empty_list(value: object) -> object:
    return () if value is None else value


def _or_empty_mapping(value: object) -> object:
    return {} if value is None else value


Names = Annotated[tuple[str, ...], BeforeValidator(_or_empty_list)]
"""A list of text."""

OrEmptyMapping = BeforeValidator(_or_empty_mapping)
"""To annotate a mapping with."""
