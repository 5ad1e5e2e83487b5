"""User and password: the `basicauth` extension."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bmad_processor.errors import MissingExtra, StartError

from .authenticator import Verdict
from .config import BasicAuthConfig
from .reload import Watched

_INTERVAL_NS: Final = 1_000_000_000
"""A user who was taken out of the file is refused within a second; a look is one `stat`."""

_REMEMBERED: Final = 1024
"""Verdicts kept. bcrypt takes 50 ms or more by design: paid per request it would be the collector's whole load."""

_BCRYPT: Final = ("$2y$", "$2a$", "$2b$")
_NOT_UNDERSTOOD: Final = ("$apr1$", "$1$", "$5$", "$6$", "$y$", "$argon2", "{SSHA}")


class _Users:
    """The users of one generation of the file, and what was found out about them."""

    def __init__(self, lines: list[str]) -> None:
        self._hashes: dict[str, str] = {}
        self._key = secrets.token_bytes(32)
        self._verdicts: OrderedDict[bytes, bool] = OrderedDict()
        self._lock = threading.Lock()
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            user, colon, known = text.partition(":")
            if not colon or not user or not known:
                raise ValueError(f"line {number} of the users is not user:hash")
            if known.startswith(_NOT_UNDERSTOOD):
                raise ValueError(f"line {number} of the users has a hash of a kind not understood; use htpasswd -B")
            self._hashes.setdefault(user, known)
        if not self._hashes:
            raise ValueError("there is no user")
        self._bcrypt = _bcrypt() if any(known.startswith(_BCRYPT) for known in self._hashes.values()) else None
        # somebody unknown is checked against a hash like the others': the time must not tell who is known
        self._decoy = next((h for h in self._hashes.values() if h.startswith(_BCRYPT)), secrets.token_urlsafe(16))

    def remembered(self, value: str) -> bool | None:
        digest = self._digest(value)
        with self._lock:
            verdict = self._verdicts.get(digest)
            if verdict is not None:
                self._verdicts.move_to_end(digest)
            return verdict

    def check(self, value: str) -> bool:
        pair = _decode(value)
        if pair is None:
            return False
        user, password = pair
        known = self._hashes.get(user)
        is_right = self._matches(password, self._decoy if known is None else known) and known is not None
        with self._lock:
            self._verdicts[self._digest(value)] = is_right
            if len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)
        return is_right

    @property
    def is_slow(self) -> bool:
        return self._bcrypt is not None

    def _matches(self, password: bytes, known: str) -> bool:
        if known.startswith(_BCRYPT) and self._bcrypt is not None:
            # bcrypt reads 72 bytes; its library refuses more, htpasswd cuts
            return self._bcrypt(password[:72], known.encode())
        if known.startswith("{SHA}"):
            digest = base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest())
            return hmac.compare_digest(digest, known[5:].encode())
        return hmac.compare_digest(password, known.encode())

    def _digest(self, value: str) -> bytes:
        # keyed with what only this process knows: what is remembered is of no use to who reads its memory
        return hmac.digest(self._key, value.encode("utf-8", "surrogateescape"), "sha256")


class BasicAuth:
    """See `Authenticator`. Raises StartError when the users cannot be read."""

    header = "authorization"
    challenge = 'Basic realm="bmad-otel", charset="UTF-8"'

    def __init__(self, config: BasicAuthConfig) -> None:
        self._config = config
        self._users: Watched[_Users] | None = None
        if config.htpasswd is not None:
            file = config.htpasswd.file
            self._users = Watched(
                [file] if file is not None else [],
                self._load,
                interval_ns=_INTERVAL_NS if file is not None else None,
                what="users of basicauth" if file is None else f"file of users {file}",
            )

    def judge(self, value: str | None) -> Verdict:
        """See `Authenticator`; who was judged before is judged at once."""
        if self._users is None or value is None or value[:6].lower() != "basic ":
            return Verdict.NO
        users = self._users.current()
        verdict = users.remembered(value)
        if verdict is None:
            if users.is_slow:
                return Verdict.TAKES_LONG
            verdict = users.check(value)
        return Verdict.YES if verdict else Verdict.NO

    def check(self, value: str) -> bool:
        """See `Authenticator`."""
        return self._users is not None and self._users.current().check(value)

    def credentials(self) -> str:
        """See `Authenticator`."""
        client = self._config.client_auth
        if client is None:
            raise StartError("basicauth has no client_auth to send")
        pair = f"{client.username}:{client.password.reveal()}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _load(self) -> _Users:
        htpasswd = self._config.htpasswd
        assert htpasswd is not None, "loaded only when there are users"
        lines = htpasswd.inline.reveal().splitlines() if htpasswd.inline is not None else []
        if htpasswd.file is not None:
            lines += Path(htpasswd.file).read_text("utf-8").splitlines()
        return _Users(lines)


def _decode(value: str) -> tuple[str, bytes] | None:
    """User and password of a header's value; None when it is none."""
    try:
        user, colon, password = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _bcrypt() -> Callable[[bytes, bytes], bool]:
    try:
        from bcrypt import checkpw
    except ImportError as error:
        raise MissingExtra("basicauth with bcrypt", "collector") from error

    def check(password: bytes, known: bytes) -> bool:
        try:
            return checkpw(password, known)
        except ValueError:  # a hash that only looks like one, or a password with a zero byte
            return False

    return check
