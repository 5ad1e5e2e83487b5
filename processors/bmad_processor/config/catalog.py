"""Every component there is, from the tables of `schema`."""

from __future__ import annotations

from dataclasses import dataclass

from bmad_processor.model import Signal

from .describe import summary
from .schema import ALIASES, SECTIONS, SIGNALS_OF, STABILITY, TYPES


@dataclass(frozen=True, slots=True)
class Component:
    """One type of component."""

    section: str
    """``receivers``, ``processors``, ``exporters`` or ``extensions``."""
    type: str
    aliases: tuple[str, ...]
    """Other spellings that are understood."""
    signals: tuple[str, ...]
    """What it takes; empty for extensions, which take none."""
    stability: str
    summary: str


def catalog() -> tuple[Component, ...]:
    """In the order of the tables."""
    return tuple(
        Component(
            section,
            kind,
            tuple(alias for alias, name in ALIASES.get(section, {}).items() if name == kind),
            signals_of(section, kind),
            STABILITY.get(kind, "beta"),
            summary(model).replace("``", "").replace("`", ""),
        )
        for section in SECTIONS
        for kind, model in TYPES[section].items()
    )


def signals_of(section: str, kind: str) -> tuple[str, ...]:
    """The signals a component takes."""
    if section == "extensions":
        return ()
    return tuple(str(signal) for signal in SIGNALS_OF.get(kind, tuple(Signal)))
