"""Lays configuration files over each other, left to right."""

from __future__ import annotations

from collections.abc import Sequence

from .tree import Node


def merge(documents: Sequence[Node]) -> Node:
    """One tree out of several: mappings are merged key by key, lists and scalars of later files replace earlier ones.

    Every value keeps its own file and line. A key that several files have counts as written where it was last written;
    a later ``null`` replaces what was there, which gives a component its defaults again. A whole section that is empty
    (``receivers:`` with nothing behind it) replaces nothing: it is an empty heading, not the wish to have no receivers.
    """
    result, *rest = documents
    for document in rest:
        result = over(result, _without_empty_headings(document))
    return result


def _without_empty_headings(document: Node) -> Node:
    if not isinstance(document.value, dict):
        return document
    written = {key: value for key, value in document.value.items() if value.value is not None}
    return Node(written, document.file, document.line, document.key_line)


def over(below: Node, above: Node) -> Node:
    """``above`` laid over ``below``. What is written on a command line has no line and leaves a mapping its place."""
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    entries = dict(below.value)
    for key, value in above.value.items():
        entries[key] = over(entries[key], value) if key in entries else value
    placed = above if above.line else below
    return Node(entries, placed.file, placed.line, placed.key_line)
