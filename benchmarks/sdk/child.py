"""The measured process: ``python -m sdk.child <set-up module>``.

It answers each line of JSON on its standard input by one on what was its standard output; prints of the measured code
go to standard error. First, unasked: ``{"forms": {name: null | error}, "versions": {distribution: version}}``. Then

- ``{"form": name, "calls": n, "warm_up": m}`` -> ``{"caller_s": ..., "whole_s": ..., "spans": ...}``: CPU of the
  calling thread for the n calls, of the whole process for the calls and for collecting and exporting what they
  measured, and the spans that arrived (those of the warm-up left out);
- the same with ``"threads": k``: the n calls shared by k threads, and ``"wall_s"``;
- ``{"memory": true}`` -> ``{"rss_bytes": ..., "traced_bytes": ...}`` after a collection of garbage; ``"trace": true``
  has Python's own allocations traced from now on;
- ``{"last_span": form}`` -> name and attributes of the span one call makes.

Runs in the peers' environments too, so it needs nothing but the standard library and what its set-up imports.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdk.loops import Loop, SetUp


def measure(set_up: SetUp, loop: Loop, calls: int, warm_up: int) -> dict[str, float]:
    loop(warm_up)
    set_up.collect()
    gc.collect()
    spans = set_up.spans()
    whole_s, caller_s = time.process_time(), time.thread_time()
    loop(calls)
    caller_s = time.thread_time() - caller_s
    set_up.collect()
    whole_s = time.process_time() - whole_s
    return {"caller_s": caller_s, "whole_s": whole_s, "spans": set_up.spans() - spans}


def measure_threads(set_up: SetUp, loop: Loop, calls: int, warm_up: int, n_threads: int) -> dict[str, float]:
    loop(warm_up)
    set_up.collect()
    gc.collect()
    barrier = threading.Barrier(n_threads + 1)

    def work() -> None:
        barrier.wait()
        loop(calls // n_threads)

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    whole_s, wall_s = time.process_time(), time.perf_counter()
    barrier.wait()
    for thread in threads:
        thread.join()
    return {"wall_s": time.perf_counter() - wall_s, "whole_s": time.process_time() - whole_s}


def memory(*, trace: bool) -> dict[str, int]:
    gc.collect()
    if trace and not tracemalloc.is_tracing():
        tracemalloc.start()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_bytes": resident_pages * os.sysconf("SC_PAGE_SIZE"),
        "traced_bytes": tracemalloc.get_traced_memory()[0],
    }


def answer(set_up: SetUp, loops: dict[str, Loop], command: dict[str, Any]) -> dict[str, Any]:
    if "last_span" in command:
        loops[command["last_span"]](1)
        set_up.collect()
        return set_up.last_span()
    if "memory" in command:
        return memory(trace=command.get("trace", False))
    loop, calls, warm_up = loops[command["form"]], command["calls"], command.get("warm_up", 0)
    if "threads" in command:
        return measure_threads(set_up, loop, calls, warm_up, command["threads"])
    return measure(set_up, loop, calls, warm_up)


def said(error: BaseException) -> str:
    """An error in one line, as it is shown in a table."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def made(forms: dict[str, Callable[[], Loop]]) -> tuple[dict[str, Loop], dict[str, str | None]]:
    """The loops, and for each form what went wrong in making it."""
    loops: dict[str, Loop] = {}
    errors: dict[str, str | None] = {}
    for name, make in forms.items():
        try:
            loops[name] = make()
            errors[name] = None
        except Exception as error:  # noqa: BLE001 - the other forms can be measured all the same
            errors[name] = said(error)
    return loops, errors


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # peers print; the protocol has standard output for itself

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        set_up: SetUp = importlib.import_module(sys.argv[1]).set_up()
    except Exception as error:
        reply({"error": said(error)})
        raise
    loops, errors = made(set_up.forms)
    reply({"forms": errors, "versions": versions(set_up.distributions)})
    for line in sys.stdin:
        try:
            reply(answer(set_up, loops, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - the parent says so in its table
            reply({"error": said(error)})
    os._exit(0)  # nothing is left to deliver, and some set-ups take seconds to find that out


if __name__ == "__main__":
    main()
