"""Old and new spellings of one type: understood, warned of, and not mixed."""

from __future__ import annotations

from collections.abc import Iterator

from bmad_processor.errors import Problem

from .schema import ALIASES, DEPRECATED, SECTIONS, split_id, type_of
from .tree import Node, entries, find, problem, show


def same_component(section: str, one: str, other: str) -> bool:
    """Whether two ids differ in the spelling of their type alone."""
    a, b = split_id(one), split_id(other)
    if a is None or b is None or a[1] != b[1]:
        return False
    names = ALIASES.get(section, {})
    return names.get(a[0], a[0]) == names.get(b[0], b[0])


def check_spellings(root: Node) -> Iterator[Problem]:
    """Two ids that are spellings of one. Merged from two files they would be two components, which nobody means."""
    for section in SECTIONS:
        ids = [key for key, _ in entries(find(root, (section,)))]
        for position, component in enumerate(ids):
            for other in ids[:position]:
                if same_component(section, component, other):
                    message = f"{show(component)} and {show(other)} are two spellings of one id"
                    yield problem(root, (section, component), message, "one spelling for both", at_key=True)


def old_spellings(root: Node) -> Iterator[Problem]:
    """Warnings: types that are written as the Collector no longer does."""
    for section in SECTIONS:
        for component, _ in entries(find(root, (section,))):
            parts = split_id(component)
            if parts is not None and parts[0] in DEPRECATED.get(section, ()):
                new = type_of(section, component)
                message = f"{show(parts[0])} is the old name of {show(new)}, understood for now"
                yield problem(root, (section, component), message, f"{new}{component[len(parts[0]) :]}", at_key=True)
