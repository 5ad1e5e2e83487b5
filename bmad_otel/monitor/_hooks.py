"""Runs the program's own collectors (`_collect_custom_metrics`) beside the monitoring, which never waits for them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from bmad_otel import _guard

TIMEOUT_S: Final = 10.0
"""For one agent. An asynchronous collector is cancelled then; a synchronous one cannot be, and is only told of."""


class Hooks:
    """One round over all agents at a time; a round that comes while the last one lasts is left out."""

    def __init__(self, collect: Callable[[str], Any], *, timeout_s: float = TIMEOUT_S) -> None:
        self._collect = collect
        self._timeout_s = timeout_s
        self._thread: threading.Thread | None = None
        self.dropped: dict[str, int] = {}
        """``collector_rounds``: left out; ``collector_errors``, ``collector_timeouts``: for one agent."""

    def run(self, agents: Iterable[str]) -> None:
        """Begin a round."""
        if self._thread is not None and self._thread.is_alive():
            self._count("collector_rounds")
            _guard.warn_once(
                "custom collector",
                "bmad_otel: _collect_custom_metrics takes longer than the monitoring interval; rounds are left out",
            )
            return
        self._thread = threading.Thread(
            target=self._round, args=(sorted(agents),), name="bmad-custom-metrics", daemon=True
        )
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the round under way, if any, ends within ``timeout_s`` seconds."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _round(self, agents: list[str]) -> None:
        try:
            asyncio.run(self._all(agents))
        except Exception as error:  # noqa: BLE001 - the collectors are the program's
            _guard.report("collecting custom metrics", error)

    async def _all(self, agents: list[str]) -> None:
        for agent in agents:
            try:
                result = self._collect(agent)
                if inspect.isawaitable(result):
                    await asyncio.wait_for(result, self._timeout_s)
            except TimeoutError:
                self._count("collector_timeouts")
            except Exception as error:  # noqa: BLE001 - as above
                self._count("collector_errors")
                _guard.report("collecting custom metrics", error)

    def _count(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
