"""One name per agent, whatever the sender calls it.

The BMAD code base knows three naming schemes (``product-owner``, ``ProductOwner``, ``ProductOwnerAgent``); they all
become the canonical name. Names of other agents stay as they are, made safe for logs, keys and terminals.
"""

from __future__ import annotations

import unicodedata
from hashlib import blake2s
from typing import Final

CANONICAL: Final = (
    "AccessibilityAgent", "AiDeveloper", "Architect", "BackendDeveloper", "DataEngineer", "DevOpsInfra",
    "DocumentationAgent", "FeedbackAgent", "FrontendDeveloper", "FullstackDeveloper", "MobileDeveloper", "Orchestrator",
    "ProductOwner", "QualityGuardian", "ReleaseManager", "Retrospective", "RnD", "Scrummaster", "SecurityDeveloper",
    "StrategiePartner", "TestEngineer", "UXUIDesigner", "WorkflowAutomator",
)  # fmt: skip
"""The 23 BMAD agents."""

_ALIASES: Final = {
    "backend": "BackendDeveloper",
    "frontend": "FrontendDeveloper",
    "fullstack": "FullstackDeveloper",
    "ai": "AiDeveloper",
    "aidev": "AiDeveloper",
    "test": "TestEngineer",
    "security": "SecurityDeveloper",
    "devops": "DevOpsInfra",
}

MAX_NAME_LENGTH: Final = 128
"""Longer names are cut and get a hash, so that two long names stay two agents."""


def _fold(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _forms(canonical: str) -> tuple[str, ...]:
    folded = _fold(canonical)
    return (folded,) if folded.endswith("agent") else (folded, folded + "agent")


_BY_FOLDED: Final = {form: name for name in CANONICAL for form in _forms(name)} | _ALIASES


def clean(name: str) -> str:
    """``name`` without control, format and separator characters and at most `MAX_NAME_LENGTH` long."""
    if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_LENGTH:
        return name
    safe = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" else c for c in name
    )
    if len(safe) <= MAX_NAME_LENGTH:
        return safe
    digest = blake2s(name.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{safe[: MAX_NAME_LENGTH - 13]}~{digest}"


def is_cleaned(name: str) -> bool:
    """Whether ``name`` looks like what `clean` made of another name: for counting, not for deciding."""
    return "\N{REPLACEMENT CHARACTER}" in name or (len(name) == MAX_NAME_LENGTH and name[-13] == "~")


def canonical(name: str) -> str:
    """The canonical name of a BMAD agent under any of its spellings; any other name, made safe."""
    stripped = name.strip()
    if len(stripped) <= MAX_NAME_LENGTH:
        known = _BY_FOLDED.get(_fold(stripped))
        if known is not None:
            return known
    return clean(stripped)
