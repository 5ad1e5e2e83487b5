"""Memory over a million tracked calls, and what one more agent or series holds."""

from __future__ import annotations

from itertools import pairwise

from sdk.children import Child, ChildFailed
from sdk.receiver import Receiver
from sdk.table import show

_STEPS = 5


def report(receiver: Receiver, *, calls: int, agents: int) -> None:
    """Resident memory after each fifth of ``calls``; traced bytes of agents, fewer than have metrics of their own."""
    variables = {"BENCHMARK_ENDPOINT": receiver.endpoint}
    try:
        with Child("sdk.setups.configured", variables=variables) as child:
            child.ask(form="tracked", calls=1000, warm_up=0)
            rss = [child.ask(memory=True)["rss_bytes"]]
            for _ in range(_STEPS):
                child.ask(form="tracked", calls=calls // _STEPS, warm_up=0)
                rss.append(child.ask(memory=True)["rss_bytes"])
        with Child("sdk.setups.agents", variables=variables) as child:
            child.ask(form="tracked", calls=1000, warm_up=0)
            traced = [child.ask(memory=True, trace=True)["traced_bytes"]]
            for form in ("make", "succeed", "fail"):
                child.ask(form=form, calls=agents, warm_up=0)
                traced.append(child.ask(memory=True)["traced_bytes"])
    except ChildFailed as error:
        show("Memory", ["error"], [[str(error)]])
        return
    per_agent = [f"{(after - before) / agents:,.0f}" for before, after in pairwise(traced)]
    show(
        "Memory",
        ["tracked calls", *(f"{1000 + calls // _STEPS * i:,}" for i in range(_STEPS + 1))],
        [["RSS, MiB", *(f"{value / 2**20:.2f}" for value in rss)]],
        f"Bytes each, of {agents} agents with one tracked function: {per_agent[0]} the decorated function, "
        f"{per_agent[1]} more with its first task done, {per_agent[2]} more with a task failed, one series more.",
    )
