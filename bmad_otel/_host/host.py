"""The instruments of the process, its container and its host, on a meter."""

from __future__ import annotations

import os
import weakref
from typing import Literal

from opentelemetry.metrics import Meter

from bmad_otel import _guard
from bmad_otel._host.allowance import Allowances
from bmad_otel._host.container import Container
from bmad_otel._host.garbage import Garbage
from bmad_otel._host.leader import Leader
from bmad_otel._host.process import Process
from bmad_otel._host.sources import Sources
from bmad_otel._host.system import System
from bmad_otel._instruments import observe

Mode = Literal["auto"] | bool


class HostMetrics:
    """What `observe_host` made. Once closed it leaves the report of the host and container to other processes."""

    def __init__(self, leaders: tuple[Leader, ...] = ()) -> None:
        self._leaders = leaders

    def close(self) -> None:
        """Stop reporting the host and the container, so that another process does at its next collection."""
        for leader in self._leaders:
            leader.close()


def observe_host(meter: Meter, mode: Mode = "auto", sources: Sources | None = None) -> HostMetrics:
    """Report the process, its container and its host through ``meter``, all under names of the conventions.

    ``mode``: True reports all of it; ``"auto"`` too, but of the processes of one user on a host only one reports the
    host, and of those in a container only one the container; False reports nothing. Raises ValueError for any other.
    """
    if mode not in (True, False, "auto"):
        raise ValueError(f"host_metrics must be True, False or 'auto', not {mode!r}")
    if mode is False:
        return HostMetrics()
    sources = sources or Sources()
    allowances = Allowances(sources)
    of_host, of_container = (Leader(makes_file=True), Leader(makes_file=False)) if mode == "auto" else (None, None)
    process, garbage = Process(sources, allowances), Garbage(sources)
    container, system = Container(sources, allowances, of_container), System(sources, of_host)
    for begin in (process.begin, system.begin):
        try:
            begin()
        except Exception as error:  # noqa: BLE001 - psutil raises what it likes on a machine it does not know
            _guard.contain("taking the first readings of the host", error)
    for part in (process, garbage, container, system):
        for metric, measure in part.measures().items():
            observe(meter, metric, measure)
    if hasattr(os, "register_at_fork"):
        _follow_forks(weakref.ref(garbage))
    return HostMetrics(tuple(leader for leader in (of_host, of_container) if leader is not None))


def _follow_forks(garbage: weakref.ref[Garbage]) -> None:
    def after_in_child() -> None:
        found = garbage()
        if found is not None:
            found.after_fork_in_child()

    os.register_at_fork(after_in_child=after_in_child)
