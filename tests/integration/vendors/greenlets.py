"""Tracked functions in greenlets that take turns on one thread: run as ``-m gevent.monkey greenlets.py endpoint``."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import gevent
from opentelemetry import trace

from bmad_otel import Outcome, configure, current_task, shutdown, track_task

configure(endpoint=sys.argv[1], protocol="http/protobuf", host_metrics=False)


@track_task(agent="Inner")
def inner():
    time.sleep(0.005)
    return current_task().name == "inner"


@track_task(agent="Outer")
def outer(n):
    mine = trace.get_current_span()
    kept = []
    for _ in range(2):
        time.sleep(0.002 * (n % 3))
        kept.append(inner())
        kept.append(trace.get_current_span() is mine)
    return all(kept)


@track_task(agent="Items")
def items():
    for n in range(3):
        gevent.sleep(0)
        yield n


@track_task(agent="Late", outcomes={gevent.Timeout: Outcome.TIMEOUT})
def late():
    gevent.sleep(60)


@track_task(agent="Killed", outcomes={gevent.GreenletExit: Outcome.CANCELLED})
def killed():
    gevent.sleep(60)


jobs = [gevent.spawn(outer, n) for n in range(20)]
jobs += [gevent.spawn(lambda: list(items()) == [0, 1, 2]) for _ in range(5)]
gevent.joinall(jobs, raise_error=True)
with ThreadPoolExecutor(4) as pool:
    in_pool = list(pool.map(outer, range(8)))
with gevent.Timeout(0.01, False):
    late()
victim = gevent.spawn(killed)
gevent.sleep(0)
victim.kill()
outside = trace.get_current_span() is trace.INVALID_SPAN
started = time.monotonic()
shutdown(10)
said = {
    "kept": all(job.value for job in jobs) and all(in_pool),
    "outside": outside,
    "shutdown_s": time.monotonic() - started,
}
print(json.dumps(said))  # noqa: T201
