"""The command line ``bmad-otel``: runs the collector, checks its configuration, and asks what it knows.

Reading commands ask a running collector over HTTP; when there is none, they read its store file.

Exit codes: 0 ok · 1 failed, or ``--fail-on`` was violated · 2 wrong usage, configuration or agent name · 3 no data: no
collector answers and no store file can be read.
"""

from __future__ import annotations

from .entry import integrated_workflow, main, performance_monitor

__all__ = ["main", "performance_monitor", "integrated_workflow"]
