"""Throw-away environments for the peers, one each, made once and kept in the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).with_name("peers.txt")
_INSTALL_TIMEOUT_S = 900
"""The largest peer has 85 packages; a slow index needs minutes for them, a dead one must not take hours."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of `peers.txt`. Its set-up is the module of ``sdk.peers`` named like its distribution."""

    requirements: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.requirements[0].partition("==")[0]

    @property
    def module(self) -> str:
        return f"sdk.peers.{self.name.replace('-', '_')}"


class InstallFailed(Exception):
    """pip could not make the environment; the message is the end of what it said."""


def peers() -> list[Peer]:
    lines = (line.partition("#")[0].split() for line in PEERS.read_text().splitlines())
    return [Peer(tuple(line)) for line in lines if line]


def python_of(peer: Peer) -> str:
    """The interpreter of the peer's environment, which is made now if it is not there in this version.

    Raises InstallFailed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bmad-otel-bench"
    key = hashlib.sha256(" ".join((platform.python_version(), *peer.requirements)).encode()).hexdigest()[:8]
    folder = cache / f"{peer.name}-{key}"
    done = folder / ".installed"  # written last: an installation that was interrupted is begun again
    python = folder / "bin" / "python"
    if not done.exists():
        print(f"installing {' '.join(peer.requirements)} in {folder} ...", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])
        done.touch()
    return str(python)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(str(error)) from error
    if done.returncode:
        raise InstallFailed((done.stderr or done.stdout).strip()[-500:])
