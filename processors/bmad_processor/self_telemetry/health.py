"""Whether the collector lives and is ready, from facts that need no lock of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong now."""

    component: str
    reason: str
    """For programs, such as ``memory_limited``."""
    detail: str = ""
    """For people."""
    stops_receiving: bool = True
    """Whether requests had better go elsewhere; else it is only reported."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"component": self.component, "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, if anything. A process that can answer at all is alive."""

    troubles: tuple[Trouble, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return not any(trouble.stops_receiving for trouble in self.troubles)

    def to_dict(self) -> dict[str, Any]:
        """As the status has it."""
        return {"is_ready": self.is_ready, "troubles": [trouble.to_dict() for trouble in self.troubles]}
