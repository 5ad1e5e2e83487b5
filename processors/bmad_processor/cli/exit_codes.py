"""What the exit code of ``bmad-otel`` says."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""The command failed, or what it was asked to check (``--fail-on``) is violated."""
USAGE: Final = 2
"""Wrong usage, configuration or agent name: the caller must change something."""
NO_DATA: Final = 3
"""No collector answers and no store file can be read."""
