"""A service for the duration of something: its own state, any free ports, gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .control import Progress, end_child, launch, stop, wait_until_ready
from .endpoints import reachable, receiver_url
from .home import Home
from .overlay import Options, prepare
from .record import Record

_ANY_PORT: Final = "localhost:0"

_COMMIT_MS: Final = 200
"""What was judged last is asked for right afterwards."""

_ELSEWHERE: Final = ("ENDPOINT", "PROTOCOL", "HEADERS", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE", "INSECURE")
"""OpenTelemetry's variables, also for a single signal, that would send elsewhere or in another way."""


@dataclass(frozen=True, slots=True)
class Private:
    """A service that nobody else knows."""

    home: Home
    record: Record

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` for a program whose telemetry is to come here, and whose commands are to ask here."""
        own = {name: value for name, value in environ.items() if not _leads_elsewhere(name)}
        own |= {"BMAD_OTEL_HOME": str(self.home.path), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        if (url := receiver_url(self.record)) is not None:
            own["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        if self.record.api is not None:
            own["BMAD_OTEL_ENDPOINT"] = reachable(self.record.api)
        for name in ("NO_PROXY", "no_proxy"):  # gRPC would ask a proxy for localhost, too
            own[name] = ",".join(filter(None, (own.get(name), "localhost", "127.0.0.1")))
        return own


@contextmanager
def private_service(configs: Sequence[Path], interval_s: float | None, progress: Progress) -> Iterator[Private]:
    """A running service; it ends, and its state is removed, when the block does, or this process in whatever way.

    Raises ConfigError, StartError.
    """
    with tempfile.TemporaryDirectory(prefix="bmad-otel-run-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder))
        options = Options(interval_s, _ANY_PORT, _ANY_PORT, _ANY_PORT, _COMMIT_MS)
        paths, _ = prepare(home, configs, options)
        child = launch(home, paths, is_detached=False)
        try:
            yield Private(home, wait_until_ready(home, child, progress))
        finally:
            end_child(child)
            stop(home, progress=progress)  # a service that the program itself has started here


def _leads_elsewhere(name: str) -> bool:
    if name in ("BMAD_OTEL_STATE", "BMAD_OTEL_ENDPOINT"):
        return True
    prefix = "OTEL_EXPORTER_OTLP_"
    if not name.startswith(prefix):
        return False
    rest = name.removeprefix(prefix)
    for signal in ("TRACES_", "METRICS_", "LOGS_"):
        rest = rest.removeprefix(signal)
    return rest in _ELSEWHERE
