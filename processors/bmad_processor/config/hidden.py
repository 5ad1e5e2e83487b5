"""What must not be printed: by the name of a key or variable, and passwords inside URLs."""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[REDACTED]"

_SECRET: Final = re.compile(
    r"(?:^|[^a-z])(?:pass(?:word|wd|phrase)?|pwd|tokens?|secrets?|credentials?|api_?key|(?:access|private|secret)_?key"
    r"|authorization|auth|cookie)$"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


def sounds_secret(name: str) -> bool:
    """Whether a key or variable of this name holds a secret, rather than where one is (``key_file``)."""
    return _SECRET.search(_CAMEL.sub("_", name).lower().replace("-", "_")) is not None


def without_password(text: str) -> str:
    """``text`` with user and password of a URL hidden."""
    return _IN_URL.sub(f"{REDACTED}@", text)
