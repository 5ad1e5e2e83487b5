"""The order in which everything is looked at."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmad_processor.cli.source import LOCAL, service_endpoint

from .collector import DEFAULT_PORT, examine_collector
from .environment import examine_environment
from .finding import Finding
from .overhead import examine_overhead
from .sending import examine_sending
from .spool import examine_spool

if TYPE_CHECKING:
    from bmad_otel._settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user has asked for. ``api`` is host:port, None for the default; ``timeout_s`` is for each question."""

    settings: Settings
    api: str | None
    timeout_s: float
    is_measuring: bool = True


def settings_of(endpoint: str | None, protocol: str | None) -> Settings:
    """What `configure` makes of these arguments. Raises ValueError naming the one that is wrong."""
    from bmad_otel._settings import checked

    return checked(
        service_name=None,
        endpoint=endpoint,
        protocol=protocol,
        headers=None,
        resource_attributes=None,
        host_metrics=True,
        metric_export_interval_s=None,
        shutdown_timeout_s=2.0,
    )


def examine(asked: Asked) -> list[Finding]:
    """Everything, in the order a person would ask."""
    # The doctor itself says what is wrong; gRPC, which logs by itself, reads this when it is imported.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    findings, targets = examine_sending(asked.settings, asked.timeout_s)
    server = targets[0].server if targets and targets[0].port is not None else "localhost"
    host = f"[{server}]" if ":" in server else server
    # the background service may listen anywhere on this machine; the port of a collector elsewhere is not known
    own = service_endpoint() if server in LOCAL else None
    api = asked.api or own or f"{host}:{DEFAULT_PORT}"
    findings += examine_collector(api, is_named=asked.api is not None, targets=targets, timeout_s=asked.timeout_s)
    if asked.is_measuring:
        findings.append(examine_overhead())
    findings += examine_environment()
    findings += examine_spool()
    return findings
