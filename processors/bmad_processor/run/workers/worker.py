"""A worker process: ``python -m bmad_processor.run.workers.worker FD``, where FD is its end of a channel to its
supervisor. It ends when it is told to, and soon after its supervisor has ended, however that happened.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from importlib.metadata import version
from typing import Any, Final

from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.config import ConsoleConfig
from bmad_processor.errors import ConfigError, ProcessorError
from bmad_processor.log_level import set_up_logging
from bmad_processor.run.collector import Collector
from bmad_processor.store.settings_codec import load_settings

from .channel import Channel, Kind
from .control import (
    ANSWER,
    COMMIT,
    FAILED,
    HEALTH,
    LISTEN,
    LISTENING,
    PEER,
    PREPARED,
    PROFILES,
    RELOAD,
    STATUS,
    STOP,
    message,
)
from .place import Place
from .start import Start

_LOG: Final = logging.getLogger("bmad_otel.collector")

_ORPHAN_S: Final = 3.0
"""Without a supervisor: requests in hand are answered and what was learned is committed. A new collector waits."""

_ALARM_S: Final = 3
"""A worker that hangs beyond its deadline is ended by the kernel."""


class _Numbered(logging.Filter):
    """Says in front of each line whose it is."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._front = f"worker {worker}: "

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._front + str(record.msg)
        return True


class Worker:
    """One collector among several, and the conversation about it."""

    def __init__(self, channel: Channel, start: Start) -> None:
        self._channel = channel
        self._place = Place(start.worker, start.workers)
        console = ConsoleConfig(color="always" if start.is_colored else "never")
        self._collector = Collector(start.config, console=ConsoleWriter(console, sys.stdout), place=self._place)
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="bmad-answers")

    def run(self) -> int:
        """Until it is told to stop, or the supervisor has ended; the exit code."""
        try:
            self._collector.prepare()
            self._say(PREPARED)
            within_s = self._converse()
        except (ProcessorError, ConfigError) as error:
            self._say(FAILED, why=str(error))
            self._collector.stop()
            return 1
        # what hangs is ended by the kernel, whatever it hangs in
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(within_s) + _ALARM_S)
        self._collector.stop(within_s)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return 0

    def _converse(self) -> float:
        """Until the end; how many seconds it may take."""
        while (received := self._channel.receive()) is not None:
            kind, data = received
            if kind is not Kind.CONTROL:
                continue
            content: dict[str, Any] = json.loads(data)
            do = content["do"]
            if do == STOP:
                return float(content["within_s"])
            if do == PEER:
                self._place.connect(content["worker"], Channel(self._channel.take_socket()))
            elif do == LISTEN:
                self._collector.listen()
                self._say(LISTENING)
            elif do == RELOAD:
                behind = self._channel.receive()
                if behind is not None:
                    self._pool.submit(self._answer, content, Start.read(behind[1]))
            else:
                self._pool.submit(self._answer, content)
        return _ORPHAN_S

    def _answer(self, content: dict[str, Any], start: Start | None = None) -> None:
        try:
            value = self._value(content) if start is None else self._reload(start)
            self._say(ANSWER, id=content["id"], value=value)
        except Exception as error:  # noqa: BLE001 - the supervisor is told, and this process lives on
            _LOG.exception("a question of the supervisor could not be answered")
            self._say(ANSWER, id=content["id"], error=str(error))

    def _value(self, content: dict[str, Any]) -> Any:
        do = content["do"]
        if do == COMMIT:
            return self._collector.settle(content["mark"], content["within_s"])
        if do == HEALTH:
            return [list(astuple(trouble)) for trouble in self._collector.health().troubles]
        if do == STATUS:
            return self._collector.status()
        if do == PROFILES:
            self._collector.judge_by(load_settings(content["settings"]).profiles)
            return True
        raise ValueError(f"unknown question {do}")

    def _reload(self, start: Start) -> str:
        """Why not, or empty."""
        try:
            self._collector.reload(start.config)
            _log_as(start)
            if start.config.engine is not None:  # they come from the supervisor, not from files that are read here
                self._collector.judge_by(start.config.engine.profiles)
        except ProcessorError as error:
            return str(error)
        return ""

    def _say(self, said: str, **content: Any) -> None:
        with contextlib.suppress(OSError):  # the supervisor has ended; the conversation finds out
            self._channel.send(message(**{"is": said}, **content))


def _log_as(start: Start) -> None:
    logs = start.config.telemetry.logs
    set_up_logging(logs.numeric_level, logs.style())
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, _Numbered) for each in handler.filters):
            handler.addFilter(_Numbered(start.worker))


def main(arguments: list[str]) -> int:
    """Runs one worker."""
    sock = socket.socket(fileno=int(arguments[0]))
    sock.set_inheritable(False)
    channel = Channel(sock)

    def asked_to_end(number: int, _: object) -> None:
        del number
        sock.shutdown(socket.SHUT_RD)  # as if the supervisor had ended

    # the supervisor gets the keyboard's signals, and reloads; whoever ends this one process has it end in order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, asked_to_end)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor blocks those that it waits for
    received = channel.receive()
    if received is None:
        return 1
    start = Start.read(received[1])
    if start.version != version("bmad-otel"):
        why = f"version {version('bmad-otel')} is installed, {start.version} runs: start the collector again"
        channel.send(message(**{"is": FAILED}, why=why))
        return 1
    _log_as(start)
    return Worker(channel, start).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
