"""What the decoder remembers is bounded, and forgetting changes no result."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.decode import Decoder, attributes, collect, decoder, metrics, resource
from bmad_processor.model import Sample, Signal, TaskSample

from .metric_points import gauge, number, request
from .strategies import TIME_NS, attribute
from .wire_bytes import trace_request

SMALL = 32


@pytest.fixture(autouse=True)
def _small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attributes, collect, metrics, resource):
        monkeypatch.setattr(module, "CACHE_SIZE", SMALL)
    monkeypatch.setattr(decoder, "MIN_BUDGET_BYTES", SMALL * 1024)
    monkeypatch.setattr(decoder, "AGENT_BYTES", 0)


def containers(root: object) -> Iterator[dict[object, object] | list[object] | set[object]]:
    """Every dict, list and set that belongs to ``root``; modules, classes and functions do not."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        found = todo.pop()
        if id(found) in seen or not _is_own(found):
            continue
        seen.add(id(found))
        if isinstance(found, dict | list | set):
            yield found
        todo += gc.get_referents(found)


def _is_own(found: object) -> bool:
    module = type(found).__module__
    return isinstance(found, dict | list | set | tuple) or module.startswith("bmad_processor.decode")


def remembered(by: Decoder) -> int:
    """Bytes and text in everything the decoder keeps."""
    return sum(
        sys.getsizeof(item)
        for container in containers(by)
        for item in (container.items() if isinstance(container, dict) else container)
        for item in (item if isinstance(item, tuple) else (item,))
        if isinstance(item, bytes | str)
    )


def span(number: int, **found: object) -> bytes:
    message = Span(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        start_time_unix_nano=TIME_NS,
        end_time_unix_nano=TIME_NS + number,
        attributes=[attribute(key, content) for key, content in found.items()],
    )
    return message.SerializeToString()


def tasks(samples: tuple[Sample, ...]) -> dict[str, int]:
    return {s.key.name: s.count for s in samples if isinstance(s, TaskSample)}


def test_ever_new_attribute_values_and_agents() -> None:
    by = Decoder(interval_ns=5_000_000_000)
    largest = 0
    for begin in range(1, 2001, 50):
        names = {n: f"agent-{n}" + "x" * (n % 90) for n in range(begin, begin + 50)}
        body = trace_request(
            span(n, **{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, "bmad.task.name": f"t{n}"})
            for n, name in names.items()
        )
        assert tasks(by.decode(Signal.TRACES, body).samples) == dict.fromkeys(names.values(), 1)
        if begin > 500:
            assert all(len(found) <= 4 * SMALL for found in containers(by) if len(found) < 10_000)
        largest = max(largest, remembered(by))
    assert largest < 400 * SMALL * 10, "a few hundred bytes for each of a few times the size of a cache"


def test_large_values_are_not_remembered() -> None:
    by = Decoder(interval_ns=5_000_000_000)
    for n in range(1, 11):
        large = f"{n}" + "y" * 1_000_000
        sender = Resource(attributes=[attribute("service.name", "svc"), attribute("process.command_line", large)])
        found = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": large, "prompt": large}
        body = trace_request([span(n, **found)], resource=sender.SerializeToString())
        ((name, count),) = tasks(by.decode(Signal.TRACES, body).samples).items()
        assert (len(name), count) == (128, 1)
        points = gauge("bmad.agent.queue.size", number(1.0, {"gen_ai.agent.name": large, "x": large}))
        assert len(by.decode(Signal.METRICS, request([points], process_command_line=large)).samples) == 1
    assert remembered(by) < 100_000


def test_ever_new_senders_and_attribute_sets() -> None:
    by = Decoder(interval_ns=5_000_000_000)
    for n in range(500):
        points = gauge("bmad.agent.queue.size", number(1.0, {"gen_ai.agent.name": f"a{n}", "thread": n}))
        (sample,) = by.decode(Signal.METRICS, request([points], service_instance_id=f"i{n}")).samples
        assert sample.key.name == f"a{n}"
    assert all(len(found) <= SMALL + 10 for found in containers(by))
