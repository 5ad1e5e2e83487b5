"""What the two files of a service say, written whole or not at all, and believed only while their process runs."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bmad_processor.errors import StartError

from .home import Home
from .identity import Identity


@dataclass(frozen=True, slots=True)
class Record:
    """What a running service listens on. Addresses are host:port as it really listens; None when it has none."""

    pid: int
    created_s: float
    """When the process began, by the system; see `Identity`."""
    version: str
    interval_s: float
    """How often everything is judged."""
    lateness_s: float
    """How long a pane is kept open for late data."""
    api: str | None
    otlp_grpc: str | None
    otlp_http: str | None
    database: str
    log: str
    """Empty when it prints to a terminal or another program."""
    configs: list[str] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)
    """Every listening part by its name in the configuration."""

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.created_s)


def find(home: Home) -> Record | None:
    """The service of ``home`` when it runs and listens, else None."""
    record = read_record(home)
    return record if record is not None and record.identity.is_running else None


def read_record(home: Home) -> Record | None:
    """What ``service.json`` says, whether or not it still holds; None when it cannot be read as one."""
    try:
        data = json.loads(home.record_file.read_text(encoding="utf-8"))
        known = {key: value for key, value in data.items() if key in Record.__dataclass_fields__}
        record = Record(**known)
        return record if isinstance(record.pid, int) and isinstance(record.created_s, int | float) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_record(home: Home, record: Record) -> None:
    """Raises StartError."""
    _replace(home.record_file, json.dumps(asdict(record), indent=2) + "\n")


def read_pid(home: Home) -> Identity | None:
    """The process that was started last, whether or not it still runs."""
    try:
        pid, created_s, *_ = home.pid_file.read_text(encoding="ascii").split()
        return Identity(int(pid), float(created_s))
    except (OSError, ValueError):
        return None


def write_pid(home: Home, identity: Identity) -> None:
    """The number alone is in the first line, for scripts. Raises StartError."""
    _replace(home.pid_file, f"{identity.pid}\n{identity.created_s!r}\n")


def forget(home: Home, identity: Identity | None) -> None:
    """Removes what is written of ``identity``; None: of whatever has ended. Files of another running one stay."""
    for path, named in ((home.pid_file, read_pid(home)), (home.record_file, _identity_of(read_record(home)))):
        if named is None or (named == identity if identity is not None else not named.is_running):
            with contextlib.suppress(OSError):
                path.unlink()


def _identity_of(record: Record | None) -> Identity | None:
    return None if record is None else record.identity


def _replace(path: Path, text: str) -> None:
    """Nobody ever reads half a file."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(temporary, path)  # noqa: PTH105  both are names of one file system, not paths to work with
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
        raise StartError(f"cannot write {path}: {error.strerror}") from error
