"""`diagnostics`: what became of the telemetry of this process, for looking at from within."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmad_otel import _guard

if TYPE_CHECKING:
    from bmad_otel._providers import Signal


@dataclass(frozen=True, slots=True)
class SignalDiagnostics:
    """One signal since the process began (or was forked): spans, metric points or log records.

    ``exported`` items arrived, ``waiting`` are queued, ``spooled`` were left on disk, ``dropped`` are lost, by reason.
    ``last_export_unix_ns`` is None until something has arrived. ``last_error`` is the receiver's or the network's last
    word on a request that failed.
    """

    endpoint: str
    protocol: str
    exported: int
    waiting: int
    spooled: int
    dropped: Mapping[str, int]
    failed_requests: int
    last_export_unix_ns: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """``signals`` by name (``traces``, ``metrics``, ``logs``), those that `configure` sends; ``spool_bytes`` on disk
    now, of all processes that share the directory; ``internal_errors``: errors of the SDK itself, contained."""

    signals: Mapping[str, SignalDiagnostics]
    spool_bytes: int
    internal_errors: int


def look(signals: list[Signal], spool_bytes: int) -> Diagnostics:
    """The state of these signals now."""
    found = {}
    for signal in signals:
        if signal.sender is not None:
            target, ledger = signal.sender.target, signal.sender.ledger
            found[str(signal.name)] = SignalDiagnostics(
                endpoint=target.endpoint,
                protocol=target.protocol,
                exported=ledger.exported,
                waiting=signal.waiting(),
                spooled=ledger.spooled,
                dropped={reason.value: items for reason, items in ledger.dropped().items()},
                failed_requests=ledger.failed_requests,
                last_export_unix_ns=ledger.last_export_unix_ns,
                last_error=ledger.last_error,
            )
    return Diagnostics(found, spool_bytes, _guard.contained())
