"""A process that hosts agents: ``python -m examples.demo.agents_process --workspace DIR Architect TestEngineer``.

Every agent has a thread of its own. The lines that come on standard input are orders (``ideas 250``); its end, or
SIGTERM, ends the process: the tasks at work are finished, and what they measured is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import signal
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Final

from bmad_otel import configure, shutdown

from . import lifeline
from .work.agent import Agent, Surroundings
from .work.architect import Architect
from .work.data_engineer import DataEngineer
from .work.documentation_agent import DocumentationAgent
from .work.product_owner import BacklogUnavailable, ProductOwner
from .work.quality_guardian import QualityGuardian
from .work.security_developer import SecurityDeveloper
from .work.test_engineer import TestEngineer

AGENTS: Final = {
    agent.__name__: agent
    for agent in (
        Architect,
        DataEngineer,
        DocumentationAgent,
        ProductOwner,
        QualityGuardian,
        SecurityDeveloper,
        TestEngineer,
    )
}

IDLE_S: Final = 0.05
"""How long an agent without work waits before it looks again."""


def keep_at_work(agent: Agent, stop: threading.Event) -> None:
    """Calls one task of ``agent`` after the other until ``stop``, with the pauses it asked for."""
    with asyncio.Runner() as runner:
        for task in agent.tasks():
            if stop.is_set():
                return
            if task is None:
                stop.wait(IDLE_S)
                continue
            started = time.monotonic()
            try:
                result = task()
                if inspect.iscoroutine(result):
                    runner.run(result)
            except (OSError, HTTPException, BacklogUnavailable):
                pass  # part of the story, and recorded by @track_task; anything else is a bug and ends the process
            took = time.monotonic() - started
            stop.wait(max(agent.every_s - took, took * (1 / agent.share - 1)))


def main() -> int:
    """Hosts the agents named in the arguments."""
    parser = argparse.ArgumentParser(description="Hosts agents of the demo.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--backlog-url", default="")
    parser.add_argument("agents", nargs="+", choices=sorted(AGENTS))
    arguments = parser.parse_args()

    stop = threading.Event()

    def on_sigterm(_signum: int, _frame: FrameType | None) -> None:
        # Not from the handler itself: it may have interrupted a wait that holds the event's lock.
        threading.Thread(target=stop.set).start()

    signal.signal(signal.SIGTERM, on_sigterm)

    surroundings = Surroundings(arguments.workspace, arguments.backlog_url)

    def on_order(line: str) -> None:
        name, _, value = line.partition(" ")
        surroundings.orders[name] = value

    lifeline.hold(on_order)
    configure(service_name="bmad-demo")  # where to send is in OTEL_EXPORTER_OTLP_ENDPOINT, as for any OpenTelemetry SDK
    threads = [
        threading.Thread(target=keep_at_work, args=(AGENTS[name](surroundings), stop), name=name)
        for name in arguments.agents
    ]
    for thread in threads:
        thread.start()
    print("at work:", ", ".join(arguments.agents), flush=True)
    failed = False
    while not stop.wait(0.5):
        if not all(thread.is_alive() for thread in threads):
            failed = True  # by an error that is no part of the story; its traceback is in the log
            stop.set()
    for thread in threads:
        thread.join()
    shutdown()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
