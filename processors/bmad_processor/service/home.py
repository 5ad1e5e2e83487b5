"""The state directory: where the background service keeps everything, and where commands look for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bmad_processor.errors import StartError

_NAME: Final = "bmad-otel"


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one service below ``path``; nothing is created by asking for them."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """``BMAD_OTEL_HOME``, else ``bmad-otel`` below ``XDG_STATE_HOME``, else below ``~/.local/state``.

        A relative ``XDG_STATE_HOME`` is ignored, as its specification has it. Raises StartError when no variable says
        and the user has no home directory.
        """
        if own := environ.get("BMAD_OTEL_HOME", "").strip():
            return cls(Path(own).expanduser().absolute())
        shared = Path(environ.get("XDG_STATE_HOME", "").strip())
        if shared.is_absolute():
            return cls(shared / _NAME)
        try:
            return cls(Path.home() / ".local" / "state" / _NAME)
        except RuntimeError as error:
            raise StartError("this user has no home directory; name one for the state in BMAD_OTEL_HOME") from error

    @property
    def pid_file(self) -> Path:
        """Process id and start time of the service, written when it is started."""
        return self.path / "service.pid"

    @property
    def record_file(self) -> Path:
        """What the service says of itself once it listens."""
        return self.path / "service.json"

    @property
    def lock_file(self) -> Path:
        """Held while a service is started or stopped."""
        return self.path / "service.lock"

    @property
    def log(self) -> Path:
        """What the service prints."""
        return self.path / "service.log"

    @property
    def overlay(self) -> Path:
        """Laid over the configuration files at each start."""
        return self.path / "overlay.yaml"

    @property
    def profiles(self) -> Path:
        """Profiles of the agents, to be edited."""
        return self.path / "profiles"

    @property
    def database(self) -> Path:
        """The store of the service."""
        return self.path / "bmad-otel.db"

    def create(self) -> None:
        """Makes the directory, readable by its owner alone. Raises StartError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            detail = f"cannot create the state directory {self.path}: {error.strerror}"
            raise StartError(f"{detail}; name another one in BMAD_OTEL_HOME") from error
