"""Plays a story on virtual time against `engine.step`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bmad_processor import engine, sketch
from bmad_processor.fields import parse_duration
from bmad_processor.metric_types import CPU_USAGE, MEMORY_BYTES, MEMORY_USAGE, QUEUE_SIZE
from bmad_processor.model import (
    AlertEvent,
    Batch,
    Exemplar,
    PartitionKey,
    Reading,
    Sample,
    ScalingHint,
    Source,
    TaskSample,
)
from bmad_processor.settings import HOST_AGENT, SECOND
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition, load_partition

from .story import Happening, Story, quantity

BEGIN_NS = 1_800_000_000 * SECOND
"""On the pane grid of every story: a whole number of minutes."""

_READINGS = {"cpu": CPU_USAGE, "memory": MEMORY_USAGE, "queue": QUEUE_SIZE}


@dataclass
class Played:
    """Everything that was said, and where it ended."""

    events: list[AlertEvent] = field(default_factory=list)
    hints: list[ScalingHint] = field(default_factory=list)
    state: EngineState = field(default_factory=EngineState)


def play(story: Story, *, restarts_always: bool = False) -> Played:
    """Every second a batch with what happened; with ``restarts_always`` the engine is new before each of them."""
    played = Played()
    offset_ns = BEGIN_NS
    todo = list(story.happenings)
    for elapsed_ns in range(0, story.lasts_ns + 1, SECOND):
        samples: list[Sample] = []
        must_restart = restarts_always
        while todo and todo[0].at_ns <= elapsed_ns:
            happening = todo.pop(0)
            if happening.clock is not None:
                sign = -1 if happening.clock.startswith("-") else 1
                offset_ns += sign * parse_duration(happening.clock.lstrip("+-"))
            elif happening.restart:
                must_restart = True
            else:
                samples += _samples(happening, elapsed_ns + offset_ns)
        if must_restart:
            played.state = _restarted(played.state, story)
        outputs = engine.step(played.state, Batch(elapsed_ns + offset_ns, tuple(samples)), story.settings).outputs
        played.events += outputs.events
        played.hints += outputs.hints
    assert not todo, "it happens after the end of the story"
    return played


def scope(key: PartitionKey) -> str:
    """How a story calls a partition: the agent, with its namespace if it has one, or ``system``."""
    name = HOST_AGENT if key.kind == "host" else key.name
    return f"{key.namespace}/{name}" if key.namespace else name


def _restarted(state: EngineState, story: Story) -> EngineState:
    texts = [dump_partition(partition) for partition in state.partitions.values()]
    return engine.restore(
        map(load_partition, texts), now_ns=state.now_ns, counters=state.counters, settings=story.settings
    )


def _samples(happening: Happening, now_ns: int) -> list[Sample]:
    if happening.tasks is not None:
        return [_tasks(now_ns, **happening.tasks)]
    for kind in ("custom", "reported"):
        if (row := getattr(happening, kind)) is not None:
            named = {key: value for key, value in row.items() if key != "name"}
            return [_reading(now_ns, f"{kind}:{row['name']}", **named)]
    return [
        _reading(now_ns, _memory_type(row) if name == "memory" else metric_type, **row)
        for name, metric_type in _READINGS.items()
        if (row := getattr(happening, name)) is not None
    ]


def _memory_type(row: dict[str, Any]) -> str:
    return MEMORY_BYTES if str(row["value"]).endswith("B") else MEMORY_USAGE


def _key(agent: str | None, host: str | None, namespace: str) -> PartitionKey:
    return PartitionKey("host", "", host) if host else PartitionKey("agent", namespace, agent or "")


def _reading(
    now_ns: int, metric_type: str, *, value: object, agent: str | None = None, host: str | None = None,
    namespace: str = "", instance: str = "a", unit: str = "",
) -> Reading:  # fmt: skip
    return Reading(_key(agent, host, namespace), instance, metric_type, "", now_ns, quantity(value), unit)


def _tasks(
    now_ns: int, *, agent: str, count: int = 1, errors: int = 0, duration: Any = "1s", namespace: str = "",
    instance: str = "a",
) -> TaskSample:  # fmt: skip
    duration_ns = parse_duration(duration)
    exemplar = Exemplar(f"{now_ns:032x}", duration_ns, "task", "Error" if errors else "")
    return TaskSample(
        _key(agent, None, namespace), instance, Source.SPAN, now_ns, 0, count, errors, count * duration_ns, duration_ns,
        duration_ns, {sketch.index_of(duration_ns): count}, (exemplar,),
    )  # fmt: skip
