"""Many agents, each with one tracked function: for counting the bytes each of them holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress

from bmad_otel import track_task
from sdk.loops import SetUp
from sdk.setups import configured


def work(fails: bool) -> None:
    if fails:
        raise ValueError("no answer")


def set_up() -> SetUp:
    agents: list[Callable[[bool], None]] = []

    def make(n: int) -> None:
        agents.extend(track_task(agent=f"Agent{len(agents) + i}")(work) for i in range(n))

    def succeed(n: int) -> None:
        for agent in agents[:n]:
            agent(False)

    def fail(n: int) -> None:
        for agent in agents[:n]:
            with suppress(ValueError):
                agent(True)

    base = configured.set_up()
    forms = {"make": lambda: make, "succeed": lambda: succeed, "fail": lambda: fail}
    return dataclasses.replace(base, forms={**base.forms, **forms})
