"""Lays configuration files over each other, left to right."""

from __future__ import annotations

from collections.abc import Sequence

from .tree import Node


def merge(documents: Sequence[Node]) -> Node:
    """One tree out of several: mappings are merged key by key, lists and scalars of later files replace earlier ones.

    Every value keeps its own file and line. A key that several files have counts as written where it was last written;
    a later ``null`` replaces what was there, which gives a component its defaults again.
    """
    result, *rest = documents
    for document in rest:
        result = _over(result, document)
    return result


def _over(below: Node, above: Node) -> Node:
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    entries = dict(below.value)
    for key, value in above.value.items():
        entries[key] = _over(entries[key], value) if key in entries else value
    return Node(entries, above.file, above.line, above.key_line)
