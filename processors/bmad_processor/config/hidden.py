"""What must not be printed: by the name of a key or variable, and passwords inside URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bmad_processor.fields import REDACTED

__all__ = ["is_secret_place", "sounds_secret", "without_password"]

_SECRET: Final = re.compile(
    r"(?:^|[^a-z])(?:pass(?:word|wd|phrase)?|pwd|tokens?|secrets?|credentials?|api_?key|(?:access|private|secret)_?key"
    r"|authorization|auth|cookie)$"
)
_HOLDERS: Final = frozenset({"headers", "client_auth"})
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IN_URL: Final = re.compile(r"(?:(?<=://)|^)[^/@\s]*:[^/@\s]*@")


def sounds_secret(name: str) -> bool:
    """Whether a key or variable of this name holds a secret, rather than where one is (``key_file``)."""
    return _SECRET.search(_CAMEL.sub("_", name).lower().replace("-", "_")) is not None


def is_secret_place(path: Sequence[str | int]) -> bool:
    """Whether a configuration has a secret at ``path`` by the names in it: any header's value may be one, and what is
    beside a password may be one in the wrong place."""
    names = [part for part in path if isinstance(part, str)]
    return not _HOLDERS.isdisjoint(names) or any(name == "htpasswd" or sounds_secret(name) for name in names[-1:])


def without_password(text: str) -> str:
    """``text`` with user and password of a URL hidden."""
    return _IN_URL.sub(f"{REDACTED}@", text)
