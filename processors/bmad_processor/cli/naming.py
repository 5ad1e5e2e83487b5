"""Which agent a name on the command line means, also when no collector has heard of it yet."""

from __future__ import annotations

from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.errors import Unanswerable
from bmad_processor.read_model.model import near


def is_bmad(name: str) -> bool:
    """Whether ``name`` is a spelling of one of the 23 BMAD agents."""
    return canonical(name) in CANONICAL


def unknown(name: str, error: Unanswerable | None = None) -> Unanswerable:
    """What to say about a name nobody knows: near names among the agents that reported, then among BMAD's."""
    suggestions = (error.suggestions if error is not None else []) or near(canonical(name), CANONICAL)
    return Unanswerable(404, "unknown_agent", f"unknown agent: {name}", suggestions)
