"""Is an address free, and if not, who has it?"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Final

from bmad_processor.config import ApiConfig, CollectorConfig
from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint
from bmad_processor.receive import OtlpReceiverConfig
from bmad_processor.receive.listen import bind, release

OPTIONS: Final[Mapping[str, str]] = {"OTLP/gRPC": "--grpc", "OTLP/HTTP": "--http", "API": "--api"}
"""What an address is for, to the option that chooses another one."""


def addresses(config: CollectorConfig) -> list[tuple[str, str]]:
    """What listens, and at which host:port, of ``config``."""
    found: list[tuple[str, str]] = []
    for receiver in config.receivers.values():
        if isinstance(receiver, OtlpReceiverConfig):
            if receiver.protocols.grpc is not None:
                found.append(("OTLP/gRPC", receiver.protocols.grpc.endpoint))
            if receiver.protocols.http is not None:
                found.append(("OTLP/HTTP", receiver.protocols.http.endpoint))
    found += [("API", e.endpoint) for e in config.extensions.values() if isinstance(e, ApiConfig)]
    return found


def check_free(wanted: Iterable[tuple[str, str]]) -> None:
    """Raises StartError naming every address that is taken, who has it, and how to choose another one."""
    problems: list[str] = []
    for name, endpoint in wanted:
        try:
            release(bind(endpoint))
        except StartError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
                port = split_endpoint(endpoint)[1]
                advice = f"stop it, or choose another address with {OPTIONS[name]} host:port (port 0: any free one)"
                problems.append(f"{endpoint} ({name}) is taken by {_owner(port)}: {advice}")
            else:
                problems.append(f"{name}: {error}; choose another address with {OPTIONS[name]} host:port")
    if problems:
        raise StartError("\n".join(problems))


def _owner(port: int) -> str:
    # imported here: only needed when something is wrong
    import psutil

    try:
        found = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return "another process"
    pids = {c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid}
    names: list[str] = []
    for pid in sorted(pids):
        try:
            command = " ".join(psutil.Process(pid).cmdline()) or psutil.Process(pid).name()
        except psutil.Error:
            command = "another process"
        names.append(f"process {pid} ({command if len(command) <= 80 else command[:77] + '...'})")
    return " and ".join(names) or "a process of another user"
