"""Starting and stopping the service of a state directory, so that there is never more than one."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint

from .endpoints import reachable
from .home import Home
from .identity import Identity
from .lock import exclusive
from .log_reading import tail
from .overlay import Options, prepare
from .ports import addresses, check_free
from .process import serve
from .record import Record, find, forget, read_pid, write_pid

START_DEADLINE_S: Final = 60.0
"""Half a second on an idle machine; reading a large store on a busy one takes longer."""

STOP_DEADLINE_S: Final = 12.0
"""The collector's own deadline is 10 s; see `run.graph.STOP_DEADLINE_S`."""

_KILL_S: Final = 5.0
"""After SIGKILL only the kernel is waited for."""

_LOCK_S: Final = START_DEADLINE_S + STOP_DEADLINE_S
"""Another start or stop ends within its own deadline."""

_POLL_S: Final = 0.05

_TAIL: Final = 15
"""Lines of the log shown when a start fails."""

Progress = Callable[[str], None]


class Stopped(StrEnum):
    """How a stop went."""

    NOT_RUNNING = "not running"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Started:
    """``is_new`` is False when the service ran already."""

    record: Record
    is_new: bool


def start(
    home: Home, configs: Sequence[Path], options: Options, *, restart: bool = False, progress: Progress
) -> Started:
    """The running service of ``home``, started when there was none, or anew with ``restart``.

    ``progress`` is told sentences when something takes its time. Raises ConfigError, StartError.
    """
    home.create()
    with exclusive(home, _LOCK_S):
        running = _running(home, progress)
        if running is not None and not restart:
            return Started(running, is_new=False)
        paths, config = prepare(home, configs, options)
        if running is not None:
            _stop(home, progress)
        check_free(addresses(config))
        child = launch(home, paths, is_detached=True, directory=None if configs else home.path)
        record = wait_until_ready(home, child, progress)
        child.returncode = 0  # it is meant to outlive this process, which must not complain about that at its end
        return Started(record, is_new=True)


def run_in_foreground(
    home: Home, configs: Sequence[Path], options: Options, *, restart: bool = False, progress: Progress,
    on_ready: Callable[[Record], None],
) -> int | Record:  # fmt: skip
    """As `start`, but this process is the service until it is told to stop; the exit code then.

    The record of a service that runs already is returned at once. Raises ConfigError, StartError, StoreError.
    """
    home.create()
    with contextlib.ExitStack() as lock:
        lock.enter_context(exclusive(home, _LOCK_S))
        running = _running(home, progress)
        if running is not None and not restart:
            return running
        paths, config = prepare(home, configs, options)
        if running is not None:
            _stop(home, progress)
        check_free(addresses(config))
        identity = Identity.of(os.getpid())
        assert identity is not None, "this process runs"
        write_pid(home, identity)

        def ready() -> None:
            lock.close()
            record = find(home)
            if record is not None:
                on_ready(record)

        return serve(home, paths, log=None, on_ready=ready)


def stop(home: Home, *, progress: Progress, deadline_s: float = STOP_DEADLINE_S) -> Stopped:
    """Ends the service and waits until it has: by SIGTERM, after the deadline by SIGKILL. Raises StartError."""
    if not home.path.is_dir():
        return Stopped.NOT_RUNNING
    with exclusive(home, _LOCK_S):
        return _stop(home, progress, deadline_s)


def launch(
    home: Home, paths: Sequence[Path], *, is_detached: bool, directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Starts the process and writes down which one it is.

    A detached one outlives this process; another one ends when its standard input does. ``directory`` is where relative
    paths of the configuration begin. Raises StartError.
    """
    lifeline = [] if is_detached else ["--until-stdin-ends"]
    # -P: a module of the user's in the directory where the command was typed must not take the place of a library's
    command = [sys.executable, "-P", "-m", "bmad_processor.service.process", *lifeline]
    # a new log for what goes wrong before the process opens it itself
    fd = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603  this interpreter, and paths that no shell reads
            [*command, str(home.path), *map(str, paths)],
            stdin=subprocess.DEVNULL if is_detached else subprocess.PIPE,
            cwd=directory,
            stdout=fd,
            stderr=fd,
            start_new_session=True,  # Ctrl-C and the end of the terminal are not for it
        )
    except OSError as error:
        raise StartError(f"cannot start {sys.executable}: {error.strerror}") from error
    finally:
        os.close(fd)
    identity = Identity.of(child.pid)
    if identity is not None:
        write_pid(home, identity)
    return child


def wait_until_ready(home: Home, child: subprocess.Popen[bytes], progress: Progress) -> Record:
    """Until its API answers. Raises StartError, with the end of its log and the process ended, when it does not."""
    waiting = _Waiting(progress, "waiting for the collector to listen")
    deadline_s = time.monotonic() + START_DEADLINE_S
    try:
        while child.poll() is None and time.monotonic() < deadline_s:
            record = find(home)
            if record is not None and record.pid == child.pid and record.api is not None and answers(record.api):
                return record
            waiting.tick()
    except BaseException:  # Ctrl-C: nothing half-started is left behind
        end_child(child)
        raise
    how = f"did not answer within {START_DEADLINE_S:g} s" if child.poll() is None else f"ended with {child.returncode}"
    end_child(child)
    forget(home, None)
    raise StartError(f"the collector {how}; the end of {home.log}:\n" + "\n".join(tail(home.log, _TAIL)))


def end_child(child: subprocess.Popen[bytes]) -> bool:
    """Asks a process that this one has started to stop; False when it had to be killed. Safe when it has ended."""
    child.terminate()
    try:
        child.wait(STOP_DEADLINE_S)
        return True
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return False
    finally:
        if child.stdin is not None:
            child.stdin.close()


def answers(endpoint: str) -> bool:
    """Whether a collector's API answers at ``endpoint``."""
    host, port = split_endpoint(reachable(endpoint))
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _running(home: Home, progress: Progress) -> Record | None:
    """The service when it answers. One that is just ending, or slow, is waited for. Raises StartError."""
    waiting = _Waiting(progress, "a service is there, waiting for its answer")
    deadline_s = time.monotonic() + STOP_DEADLINE_S
    while True:
        record, pid = find(home), read_pid(home)
        if record is None and (pid is None or not pid.is_running):
            forget(home, None)
            return None
        if record is not None and record.api is not None and answers(record.api):
            return record
        if time.monotonic() > deadline_s:
            number = record.pid if record is not None else pid.pid if pid is not None else "?"
            what = f"process {number} is the service of {home.path}, but does not answer"
            raise StartError(f"{what}; end it with: bmad-otel stop-monitoring")
        waiting.tick()


def _stop(home: Home, progress: Progress, deadline_s: float = STOP_DEADLINE_S) -> Stopped:
    """Called with the lock held."""
    record, pid = find(home), read_pid(home)
    identity = record.identity if record is not None else pid
    if identity is None or not identity.is_running:
        forget(home, None)
        return Stopped.NOT_RUNNING
    result = Stopped.STOPPED
    if not _end(identity, signal.SIGTERM, deadline_s, _Waiting(progress, "waiting for its last commit")):
        result = Stopped.KILLED
        progress(f"process {identity.pid} did not stop within {deadline_s:g} s, killing it")
        if not _end(identity, signal.SIGKILL, _KILL_S, _Waiting(progress, "waiting for the system to end it")):
            raise StartError(f"process {identity.pid} cannot be ended")
    forget(home, None)
    return result


def _end(identity: Identity, number: signal.Signals, timeout_s: float, waiting: _Waiting) -> bool:
    """Sends the signal and waits; whether the process has ended."""
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return True
    except PermissionError as error:
        raise StartError(f"process {identity.pid} belongs to another user") from error
    deadline_s = time.monotonic() + timeout_s
    while identity.is_running:
        if time.monotonic() > deadline_s:
            return False
        waiting.tick()
    return True


class _Waiting:
    """One wait between two looks; says what it waits for when that takes longer than a second."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._what = what
        self._say_at_s = time.monotonic() + 1.0

    def tick(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._say_at_s:
            self._progress(f"{self._what} ...")
            self._say_at_s = now_s + 5.0
        time.sleep(_POLL_S)
