"""The lines of a log: for a person or as JSON, and repeats at a bounded rate. Standard library only.

Repeats are told by the message's template, not by its text: ``exporter %s: cannot deliver: %s`` is one message however
often it comes and whatever it says. The first `initial` within a `tick` are written, then every `thereafter`-th; the
line that is written next says how many were left out. What fails thousands of times a second cannot fill a disk.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Encoding = Literal["console", "json"]

UNSAMPLED: Final = "bmad_otel.telemetry"
"""Logger whose lines are what the user asked to see, all of them: the `debug` exporter's."""

_MAX_TEMPLATES: Final = 1000
"""Messages told apart within one tick; our own are about a hundred. With more, all are counted anew."""

_ABOUT: Final = re.compile(r"(?:exporter|receiver|processor|extension) %s\b")
"""How a message begins that is about one component."""

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message", "asctime", "taskName", "left_out",
}  # fmt: skip
"""What every record has; anything else was given as ``extra`` and is a field of the line."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many of the same message are written. ``initial`` 0: everything."""

    tick_s: float = 10.0
    initial: int = 10
    thereafter: int = 100


@dataclass(frozen=True, slots=True)
class LogStyle:
    """What lines look like and how many there are."""

    encoding: Encoding = "console"
    sampling: Sampling = Sampling()
    with_stack: bool = True
    """Errors with the stack they came from."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """In every line of JSON."""


class Sampler(logging.Filter):
    """Lets through the first of each message and then one in many. Thread-safe."""

    def __init__(self, sampling: Sampling, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._sampling = sampling
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, int, str], list[float]] = {}
        """Logger, level and template to: end of the tick, lines within it, lines left out since one was written."""
        self.n_left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; says in ``record.left_out`` how many like it were not."""
        sampling = self._sampling
        if not sampling.initial or record.name == UNSAMPLED:
            return True
        key = (record.name, record.levelno, str(record.msg))
        with self._lock:
            now = self._clock()
            seen = self._seen.get(key)
            if seen is None:
                if len(self._seen) >= _MAX_TEMPLATES:
                    self._seen.clear()
                seen = self._seen[key] = [now + sampling.tick_s, 0, 0]
            if now >= seen[0]:
                seen[0], seen[1] = now + sampling.tick_s, 0
            seen[1] += 1
            beyond = seen[1] - sampling.initial
            if beyond > 0 and (not sampling.thereafter or beyond % sampling.thereafter):
                seen[2] += 1
                self.n_left_out += 1
                return False
            record.left_out, seen[2] = int(seen[2]), 0
            return True


class ConsoleLines(logging.Formatter):
    """Time, level and message; what was left out at the end of the first line."""

    def __init__(self, style: LogStyle) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._look = style

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The first line."""
        return super().formatMessage(record) + _more(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The stack, or the error alone."""
        return _exception(self._look, ei, super().formatException)

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """The stack, when stacks are wanted."""
        return stack_info if self._look.with_stack else ""


class JsonLines(logging.Formatter):
    """One object per line: ``ts`` (UTC), ``level``, ``logger``, ``msg``, ``component`` when it is about one, fields."""

    def __init__(self, style: LogStyle) -> None:
        super().__init__()
        self._look = style

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "ts": _utc(record.created),
            "level": record.levelname.lower().replace("warning", "warn"),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if (component := _component(record)) is not None:
            line["component"] = component
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value
        if record.exc_info:
            line["error"] = _exception(self._look, record.exc_info, self.formatException)
        line.update((name, value) for name, value in self._look.fields.items() if name not in line)
        return json.dumps(line, default=str, separators=(",", ":"))


def formatter(style: LogStyle) -> logging.Formatter:
    """The formatter of a style."""
    return JsonLines(style) if style.encoding == "json" else ConsoleLines(style)


def _component(record: logging.LogRecord) -> str | None:
    if (given := getattr(record, "component", None)) is not None:
        return str(given)
    if isinstance(record.msg, str) and isinstance(record.args, tuple) and record.args and _ABOUT.match(record.msg):
        return str(record.args[0])
    return None


def _more(record: logging.LogRecord) -> str:
    left_out = getattr(record, "left_out", 0)
    return f" ({left_out} more like it were left out)" if left_out else ""


def _exception(style: LogStyle, exc_info: Any, in_full: Callable[[Any], str]) -> str:
    if style.with_stack:
        return in_full(exc_info)
    error = exc_info[1]
    return f"{type(error).__name__}: {error}"


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
