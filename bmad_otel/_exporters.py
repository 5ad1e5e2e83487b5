"""The exporters `configure` sends through, and what they share. Imported only when one is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

from bmad_otel import _guard
from bmad_otel._delivery.answers import Transport
from bmad_otel._delivery.encoding import Identity
from bmad_otel._delivery.exporters import LogSender, MetricSender, SpanSender
from bmad_otel._delivery.ledger import Reason
from bmad_otel._delivery.sender import Sender
from bmad_otel._delivery.spool import Spool, is_supported
from bmad_otel._delivery.target import Target, target_of
from bmad_otel._own_provider import AddsDurations
from bmad_otel._settings import Settings, SignalName


class ConsoleMetrics(AddsDurations, ConsoleMetricExporter):
    """The SDK's exporter for looking at metrics, durations included."""


class OtlpMetrics(AddsDurations, MetricSender):
    """Metrics by OTLP, durations included."""


class Delivery:
    """What the exporters of a program share: the spool, and who the process is. Also their senders, by signal."""

    def __init__(self, settings: Settings) -> None:
        self.identity = Identity()
        self.senders: dict[SignalName, Sender] = {}
        self.spool: Spool | None = None
        self._settings = settings
        if settings.spool_directory is not None:
            self.spool = self._open_spool(Path(settings.spool_directory), settings.spool_max_bytes)

    def spans(self, *, to_own_provider: bool) -> SpanSender:
        """An exporter of spans."""
        return SpanSender(self._sender("traces", is_worth_waiting=True), self._identity(to_own_provider))

    def metrics(self, *, to_own_provider: bool) -> OtlpMetrics:
        """An exporter of metrics."""
        return OtlpMetrics(self._sender("metrics", is_worth_waiting=False), self._identity(to_own_provider))

    def logs(self, *, to_own_provider: bool) -> LogSender:
        """An exporter of log records."""
        return LogSender(self._sender("logs", is_worth_waiting=True), self._identity(to_own_provider))

    def before_fork(self) -> None:
        for sender in self.senders.values():
            sender.before_fork()

    def after_fork_in_parent(self) -> None:
        for sender in self.senders.values():
            sender.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self.identity.after_fork_in_child()
        if self.spool is not None:
            self.spool.after_fork_in_child()
        for sender in self.senders.values():
            sender.after_fork_in_child()

    def _identity(self, to_own_provider: bool) -> Identity | None:
        # the resource of the program's own provider is the program's
        return self.identity if to_own_provider else None

    def _sender(self, signal: SignalName, *, is_worth_waiting: bool) -> Sender:
        target = target_of(signal, self._settings)
        sender = Sender(target, _transport(target), self.spool, is_worth_waiting=is_worth_waiting)
        self.senders[signal] = sender
        return sender

    def _open_spool(self, directory: Path, max_bytes: int) -> Spool | None:
        if not is_supported():
            _guard.warn_once("spool", "bmad_otel: no disk spool on this platform: it has no file locks")
            return None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Spool(directory, max_bytes, self._lose)

    def _lose(self, signal: str, items: int) -> None:
        for known, sender in self.senders.items():
            if known == signal:
                sender.ledger.drop(items, Reason.SPOOL_FULL)


def _transport(target: Target) -> Callable[[Target], Transport]:
    # Imported here: a program needs one of the two, and gRPC takes a while.
    if target.protocol == "grpc":
        from bmad_otel._delivery.grpc_transport import GrpcTransport

        return GrpcTransport
    from bmad_otel._delivery.http_transport import HttpTransport

    return HttpTransport
