"""What `instrument_bmad` has found and done so far."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class BmadReport:
    """Goes on being filled as modules of BMAD are imported; ``print(report)`` shows it as lines."""

    provider: str = ""
    """Where spans go: ``ours``, ``the program's``, ``the program's, with an exporter of ours`` or ``none``."""
    replaced: list[str] = field(default_factory=list)
    """Modules whose imports find ours instead."""
    found: list[str] = field(default_factory=list)
    """Modules of BMAD that were imported and instrumented."""
    waiting: list[str] = field(default_factory=list)
    """Modules that are instrumented as soon as they are imported."""
    wrapped: list[str] = field(default_factory=list)
    """Functions that report now."""
    mended: list[str] = field(default_factory=list)
    """What was changed because ``mend`` asked for it."""
    missing: list[str] = field(default_factory=list)
    """Functions that an imported module does not have: it is of another version of BMAD."""
    failed: dict[str, str] = field(default_factory=dict)
    """Modules that could not be instrumented, and the error."""
    agents: dict[str, int] = field(default_factory=dict)
    """Methods that are tasks now, for each agent."""

    def has_found(self, module: str) -> None:
        """A module was imported."""
        if module in self.waiting:
            self.waiting.remove(module)
        if module not in self.found:
            self.found.append(module)

    def __str__(self) -> str:
        lines = [f"spans go to: {self.provider}"]
        for title, names in (
            ("replaced", self.replaced),
            ("instrumented", self.found),
            ("waiting for", self.waiting),
            ("reporting", self.wrapped),
            ("mended", self.mended),
            ("missing", self.missing),
            ("failed", [f"{name}: {error}" for name, error in self.failed.items()]),
            ("agents", [f"{agent} ({count} methods)" for agent, count in self.agents.items()]),
        ):
            if names:
                lines.append(f"{title}:")
                lines.extend(f"  {name}" for name in names)
        return "\n".join(lines)
