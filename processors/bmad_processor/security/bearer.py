"""Bearer tokens: the `bearertokenauth` extension."""

from __future__ import annotations

import hmac
from pathlib import Path

from bmad_processor.fields import is_header_value

from .authenticator import Verdict
from .config import BearerTokenAuthConfig
from .reload import Watched

_INTERVAL_NS = 1_000_000_000
"""A token that was taken out of its file is refused within a second; a look is one `stat`."""


class BearerTokenAuth:
    """See `Authenticator`. Raises StartError when the file cannot be read or has no token."""

    def __init__(self, config: BearerTokenAuthConfig) -> None:
        self.header = config.header.lower()
        self.challenge = config.scheme
        self._scheme = config.scheme
        self._file = config.filename
        self._given = tuple(token.reveal() for token in ((config.token,) if config.token else config.tokens))
        files = [config.filename] if config.filename is not None else []
        self._tokens = Watched(
            files, self._load, interval_ns=_INTERVAL_NS if files else None, what=f"token file {config.filename}"
        )

    def judge(self, value: str | None) -> Verdict:
        """See `Authenticator`; never takes long."""
        scheme, _, token = (value or "").strip().partition(" ")
        if scheme.lower() != self._scheme.lower():
            return Verdict.NO
        given, found = token.strip().encode("utf-8", "surrogateescape"), False
        for known in self._tokens.current():
            # each is compared, so that the time tells neither how much of a token was right nor which
            found |= hmac.compare_digest(given, known.encode())
        return Verdict.YES if found else Verdict.NO

    def check(self, value: str) -> bool:
        """See `Authenticator`."""
        return self.judge(value) is Verdict.YES

    def credentials(self) -> str:
        """See `Authenticator`."""
        return f"{self._scheme} {self._tokens.current()[0]}"

    def _load(self) -> tuple[str, ...]:
        if self._file is None:
            return self._given
        tokens = tuple(line.strip() for line in Path(self._file).read_text("utf-8").splitlines() if line.strip())
        if not tokens:
            raise ValueError("there is no token in it")
        if not all(map(is_header_value, tokens)):
            raise ValueError("a token in it has characters that no header can carry")
        return tokens
