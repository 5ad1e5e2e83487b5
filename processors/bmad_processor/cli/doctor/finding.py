"""One answer of the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How it is. ``skipped``: not asked, or of no importance here; the detail says why."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """``area`` and ``check`` say what was looked at, ``detail`` how it is, ``advice`` what to do about it.

    ``data`` are the numbers behind it, for programs.
    """

    area: str
    check: str
    status: Status
    detail: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "area": self.area,
            "check": self.check,
            "status": self.status.value,
            "detail": self.detail,
            "advice": self.advice,
            "data": dict(self.data),
        }
