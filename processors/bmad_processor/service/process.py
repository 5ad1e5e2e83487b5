"""The process of a service: a collector that says where it listens, and whose output goes to a bounded log.

``python -m bmad_processor.service.process HOME CONFIG...`` is what `control.start` runs in the background; with
``--until-stdin-ends`` it also ends when whoever started it does, however that ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from bmad_processor.config.schema import type_of
from bmad_processor.errors import ConfigError, ProcessorError
from bmad_processor.run.service import RELOAD, AnyCollector, run_collector
from bmad_processor.settings import SECOND
from bmad_processor.web import build_api

from .bounded_log import BoundedLog
from .home import Home
from .identity import Identity
from .record import Record, forget, write_record


def serve(home: Home, configs: Sequence[Path], *, log: Path | None, on_ready: Callable[[], None] | None = None) -> int:
    """Runs the collector of ``home`` in this process until it is told to stop; the exit code.

    ``log`` is only written down: it is where the output goes. Raises ConfigError, StartError and StoreError.
    """
    identity = Identity.of(os.getpid())
    assert identity is not None, "this process runs"

    is_told = False

    def tell(collector: AnyCollector) -> None:
        nonlocal is_told
        write_record(home, _record(home, collector, identity, configs, log))  # a reload may have moved something
        if on_ready is not None and not is_told:
            on_ready()
        is_told = True

    try:
        return run_collector(configs, build_api=build_api, on_ready=tell)
    finally:
        forget(home, identity)


def _record(
    home: Home, collector: AnyCollector, identity: Identity, configs: Sequence[Path], log: Path | None
) -> Record:
    api, grpc, http = None, None, None
    for name, address in collector.endpoints.items():
        component, _, protocol = name.rpartition("/")
        if type_of("extensions", name) == "api":
            api = api or address
        elif type_of("receivers", component) == "otlp":
            grpc = grpc or (address if protocol == "grpc" else None)
            http = http or (address if protocol == "http" else None)
    engine = collector.config.engine
    return Record(
        pid=identity.pid,
        created_s=identity.created_s,
        version=version("bmad-otel"),
        interval_s=engine.interval_ns / SECOND if engine is not None else 0.0,
        lateness_s=engine.lateness_ns / SECOND if engine is not None else 0.0,
        api=api,
        otlp_grpc=grpc,
        otlp_http=http,
        database=str(home.database),
        log="" if log is None else str(log),
        configs=[str(path) for path in configs],
        endpoints=dict(collector.endpoints),
    )


def _end_with(stdin: BinaryIO) -> None:
    """Asks this process to stop when ``stdin`` ends: the other end of the pipe is held by who started it."""

    def watch() -> None:
        while stdin.read(4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="bmad-lifeline", daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Runs the service; what is wrong is in the log."""
    parser = argparse.ArgumentParser(prog="bmad_processor.service.process", description=__doc__)
    parser.add_argument("--until-stdin-ends", action="store_true")
    parser.add_argument("home", type=Path)
    parser.add_argument("configs", type=Path, nargs="+")
    asked = parser.parse_args(arguments)
    home = Home(asked.home)
    out = BoundedLog(home.log)
    sys.stdout = sys.stderr = out
    # before any thread, so that none of them takes a signal that the collector waits for
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, RELOAD})
    if asked.until_stdin_ends:
        _end_with(sys.stdin.buffer)
    try:
        return serve(home, asked.configs, log=home.log)
    except ConfigError as error:
        out.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    except ProcessorError as error:
        out.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
