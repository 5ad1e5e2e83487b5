"""All errors of the processor, on one page.

::

    ProcessorError
    ├── ConfigError          the configuration is wrong: every problem at once, exit code 2
    ├── StartError           a listener, file or database could not be opened at start
    ├── ReloadRefused        what a running collector cannot change: nothing was changed
    ├── MissingExtra         a part was asked for whose `pip install` extra is not there
    ├── StoreError           the state on disk cannot be read or written
    ├── Unanswerable         a question that cannot be answered, with the HTTP status and near names
    ├── ProfileError         a profile cannot be changed where it is kept
    └── Refused              one request was not taken (carries what the sender must know)
        ├── Malformed        theirs, permanent: INVALID_ARGUMENT, HTTP 400
        ├── TooLarge         theirs, permanent: RESOURCE_EXHAUSTED, HTTP 413
        ├── Unserved         no pipeline for this signal: UNIMPLEMENTED, HTTP 404
        ├── Unauthenticated  nobody we know: UNAUTHENTICATED, HTTP 401 with WWW-Authenticate
        └── Overloaded       ours, transient: UNAVAILABLE with RetryInfo, HTTP 503 with Retry-After
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


class ProcessorError(Exception):
    """Base of every error this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration file.

    ``path`` uses the Collector's ``::`` separator, ``line`` is 1-based (0 when the problem has no line, such as a key
    that is missing altogether from an empty file).
    """

    file: str
    line: int
    path: str
    message: str
    expected: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        expected = f" (expected {self.expected})" if self.expected else ""
        return f"{where}:{path} {self.message}{expected}"


class ConfigError(ProcessorError):
    """Every problem found in the given configuration, in file and line order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class StartError(ProcessorError):
    """The service could not start: port in use, file not writable, and so on."""


class ReloadRefused(ProcessorError):
    """A configuration is right but differs in what a running collector cannot change. Nothing was changed."""

    def __init__(self, reasons: Collection[str]) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(self.reasons) + ": restart the collector for that")


class MissingExtra(ProcessorError):
    """An optional part is not installed; the message names the `pip install` line."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs an extra: pip install 'bmad-otel[{extra}]'")


class StoreError(ProcessorError):
    """The state on disk cannot be read or written."""


class ProfileError(ProcessorError):
    """A profile cannot be changed where it is kept: no directory, not writable, or somebody else is at it."""


class Unanswerable(ProcessorError):
    """The question cannot be answered. ``status`` is the HTTP status, ``code`` names the reason for programs."""

    def __init__(self, status: int, code: str, detail: str, suggestions: Collection[str] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.suggestions = list(suggestions)
        super().__init__(detail)

    def to_dict(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"error": self.code, "detail": self.detail, "suggestions": self.suggestions}


class Refused(ProcessorError):
    """One request was not taken."""


class Malformed(Refused):
    """The bytes are not what their content type says. Trying again cannot help."""


class TooLarge(Refused):
    """Larger than the configured limit, before or after decompression. Trying again cannot help."""


class Overloaded(Refused):
    """A bounded queue is full. The sender should try again after ``retry_after_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Unserved(Refused):
    """No pipeline takes this signal here: UNIMPLEMENTED, HTTP 404."""


class Unauthenticated(Refused):
    """The sender did not say who it is, or is not believed. ``challenge`` is the value of `WWW-Authenticate`."""

    def __init__(self, message: str, *, challenge: str) -> None:
        self.challenge = challenge
        super().__init__(message)
