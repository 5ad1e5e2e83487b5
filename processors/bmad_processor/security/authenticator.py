"""What a listener and an exporter ask an authenticator."""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Verdict(Enum):
    """The answer about a header."""

    YES = "yes"
    NO = "no"
    TAKES_LONG = "takes long"
    """`check` knows, after so much computing that it must not be asked in the thread that serves everybody."""


class Authenticator(Protocol):
    """Thread-safe."""

    header: str
    """Name of the header it looks at, in lower case."""
    challenge: str
    """The value of `WWW-Authenticate` that a refused client gets."""

    def judge(self, value: str | None) -> Verdict:
        """About the header's value (None: not sent), at once."""
        ...

    def check(self, value: str) -> bool:
        """About a value that `judge` said takes long."""
        ...

    def credentials(self) -> str:
        """The header's value that a client of ours sends. Raises StartError when it has none to send."""
        ...
