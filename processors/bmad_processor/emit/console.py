"""Alerts and scaling hints as lines a person reads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TextIO

from bmad_processor.metric_types import render
from bmad_processor.model import AlertEvent, AlertEventKind, Level, ScalingAction, ScalingHint

from .config import ConsoleConfig
from .encode import describe_hint

_LOG: Final = logging.getLogger("bmad_otel.collector")

_GREEN, _CYAN, _RESET = "\x1b[32m", "\x1b[36m", "\x1b[0m"
_LEVELS: Final = {
    Level.INFO: ("ℹ", "\x1b[34m"),  # noqa: RUF001 - the information sign
    Level.WARNING: ("▲", "\x1b[33m"),
    Level.CRITICAL: ("✖", "\x1b[31m"),
    Level.EMERGENCY: ("‼", "\x1b[1;31m"),
}
_ACTIONS: Final = {ScalingAction.SCALE_UP: "↑", ScalingAction.SCALE_DOWN: "↓", ScalingAction.MAINTAIN: "="}
_WIDTH: Final = len("EMERGENCY")


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%H:%M:%S")


def _plain(text: str) -> str:
    """Names come from senders: one line, no control characters."""
    return "".join(c if c.isprintable() else "�" for c in text)


def duration(ns: int) -> str:
    """``42s``, ``3m05s``, ``2h10m``."""
    seconds = max(0, round(ns / 1e9))
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"


def _line(time_ns: int, mark: str, label: str, who: str, text: str, color: str) -> str:
    head = f"{mark} {label:<{_WIDTH}}"
    if color:
        head = f"{color}{head}{_RESET}"
    return f"{_time(time_ns)} {head} {_plain(who)}: {_plain(text)}"


def _evidence(event: AlertEvent) -> str:
    alert, reason = event.alert, event.alert.reason
    parts = []
    if reason.baseline is not None:
        ratio = f", {alert.value / reason.baseline:.1f}x" if reason.baseline > 0 else ""
        parts.append(f"baseline {render(alert.metric_type, reason.baseline)}{ratio}")
    parts.append(f"n={reason.n}")
    if reason.note:
        parts.append(reason.note)
    return ", ".join(parts)


def render_event(event: AlertEvent, color: bool) -> str:
    """One alert event as one line: time, level, agent, message, comparison with the baseline, number of tasks."""
    alert = event.alert
    text = f"{alert.message} ({_evidence(event)})"
    if event.kind is AlertEventKind.RESOLVED:
        text += f", resolved after {duration(event.time_ns - alert.started_ns)}"
        return _line(event.time_ns, "✔", "RESOLVED", alert.key.name, text, _GREEN if color else "")
    mark, level_color = _LEVELS[alert.level]
    if event.kind is AlertEventKind.ESCALATED:
        text = f"now {alert.level.label}: {text}"
    return _line(event.time_ns, mark, alert.level.name, alert.key.name, text, level_color if color else "")


def render_hint(hint: ScalingHint, color: bool) -> str:
    """One scaling hint as one line."""
    return _line(
        hint.time_ns, _ACTIONS[hint.action], "SCALING", hint.key.name, describe_hint(hint), _CYAN if color else ""
    )


class ConsoleWriter:
    """Writes lines to a stream. A stream that is gone is given up; monitoring goes on."""

    def __init__(self, config: ConsoleConfig, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._lock = threading.Lock()
        self._color = config.color == "always" or (
            config.color == "auto" and stream.isatty() and not os.environ.get("NO_COLOR")
        )

    def write(self, events: Sequence[AlertEvent], hints: Sequence[ScalingHint]) -> None:
        """Write every event and hint, one line each."""
        lines = [render_event(event, self._color) for event in events]
        lines += [render_hint(hint, self._color) for hint in hints]
        if not lines:
            return
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError) as error:  # a closed pipe; a closed stream
                self._stream = None
                _LOG.warning("console output ended: %s", error)
