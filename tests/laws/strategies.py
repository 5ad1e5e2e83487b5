"""Streams of batches for the laws: several agents, instances and sources over a few minutes of virtual time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from bmad_processor import sketch
from bmad_processor.metric_types import ACTIVE_TASKS, CPU_USAGE, MEMORY_USAGE, QUEUE_SIZE, Direction
from bmad_processor.model import (
    Batch,
    Exemplar,
    Increase,
    Level,
    ModelKey,
    PartitionKey,
    Reading,
    Sample,
    Source,
    TaskSample,
    TaskTotals,
    TokenSample,
    TokenTotals,
    Total,
)
from bmad_processor.settings import (
    DEFAULT_THRESHOLDS,
    SECOND,
    EngineSettings,
    Profile,
    Profiles,
    ScalingRules,
)

BEGIN = 1_800_000_000 * SECOND
"""Any time on no particular boundary of the pane grid but a whole second."""

SETTINGS = EngineSettings(
    profiles=Profiles(
        default=Profile(
            "*",
            thresholds={**DEFAULT_THRESHOLDS, "custom:points": {Level.WARNING: 1.0, Level.CRITICAL: 0.5}},
            scaling=ScalingRules(max_instances=5),
            directions={"custom:points": Direction.LOW_IS_BAD},
        )
    ),
    interval_ns=2 * SECOND,
    window_ns=6 * SECOND,
    lateness_ns=SECOND,
    warmup=3,
    cooldown_ns=10 * SECOND,
    no_data_after_ns=15 * SECOND,
    min_tasks=2,
    stabilization_ns=8 * SECOND,
    instance_timeout_ns=12 * SECOND,
    forget_after_ns=60 * SECOND,
    max_names=2,
    max_models=2,
)
"""Short times, so that a few dozen batches go through the whole life of an alert."""

EARLY = replace(SETTINGS, early_interval_ns=SECOND // 4)
"""The same, with bad news judged as it arrives."""

KEYS = [
    PartitionKey("agent", "", "Architect"),
    PartitionKey("agent", "shop", "Architect"),
    PartitionKey("host", "", "h1"),
]
INSTANCES = ["a", "b"]

_offsets = st.integers(-4 * SECOND, SECOND // 2)


@st.composite
def task_samples(draw: st.DrawFn, now_ns: int) -> TaskSample:
    durations = draw(st.lists(st.integers(0, 60 * SECOND), min_size=1, max_size=4))
    errors = draw(st.integers(0, len(durations)))
    buckets: dict[int, int] = {}
    sketch.count_into(buckets, durations)
    time_ns = now_ns + draw(_offsets)
    return TaskSample(
        key=draw(st.sampled_from(KEYS)),
        instance=draw(st.sampled_from(INSTANCES)),
        source=draw(st.sampled_from(Source)),
        time_ns=time_ns,
        covered_ns=draw(st.integers(0, 2 * SECOND)),
        count=len(durations),
        errors=errors,
        sum_ns=sum(durations),
        min_ns=min(durations),
        max_ns=max(durations),
        buckets=buckets,
        exemplars=(Exemplar(f"{draw(st.integers(0, 99)):032x}", max(durations), "t", "E" if errors else ""),),
    )


@st.composite
def named_values(draw: st.DrawFn, now_ns: int) -> Reading:
    name = draw(st.sampled_from(["custom:points", "custom:other", "custom:third", "reported:cpu_usage"]))
    return Reading(
        draw(st.sampled_from(KEYS)),
        draw(st.sampled_from(INSTANCES)),
        name,
        "mean:",
        now_ns + draw(_offsets),
        draw(st.sampled_from([0.0, 0.4, 0.7, 3.0])),
        draw(st.sampled_from(["", "{point}"])),
    )


@st.composite
def increases(draw: st.DrawFn, now_ns: int) -> Increase:
    key, instance = draw(st.sampled_from(KEYS)), draw(st.sampled_from(INSTANCES))
    covered_ns = draw(st.integers(1, 4)) * SECOND
    value = draw(st.sampled_from([0.0, 0.5, 3.5]))
    return Increase(key, instance, CPU_USAGE, "d", now_ns + draw(_offsets), covered_ns, value)


@st.composite
def tokens(draw: st.DrawFn, now_ns: int) -> TokenSample | TokenTotals:
    key, instance = draw(st.sampled_from(KEYS)), draw(st.sampled_from(INSTANCES))
    model = ModelKey("p", draw(st.sampled_from(["m1", "m2"])), draw(st.sampled_from(["", "w1", "w2"])))
    # any time: tokens are never too late
    time_ns = now_ns + draw(_offsets | st.integers(-40, 0).map(lambda s: s * SECOND))
    n = draw(st.integers(0, 9))
    if draw(st.booleans()):
        return TokenSample(key, instance, draw(st.sampled_from(Source)), time_ns, model, n * 7, n * 3, n, n)
    start_ns = BEGIN - draw(st.sampled_from([0, 3600])) * SECOND
    stream = draw(st.sampled_from(["x", "y"]))
    return TokenTotals(key, instance, stream, start_ns, time_ns, model, draw(st.booleans()), n + 1, n * 11)


@st.composite
def readings(draw: st.DrawFn, now_ns: int) -> Reading:
    return Reading(
        draw(st.sampled_from(KEYS)),
        draw(st.sampled_from(INSTANCES)),
        draw(st.sampled_from([CPU_USAGE, MEMORY_USAGE, QUEUE_SIZE, ACTIVE_TASKS])),
        "",
        now_ns + draw(_offsets),
        draw(st.sampled_from([0.0, 0.1, 0.72, 0.9, 2.5, 120.0])),
    )


@st.composite
def totals(draw: st.DrawFn, now_ns: int) -> Total | TaskTotals:
    key, instance = draw(st.sampled_from(KEYS)), draw(st.sampled_from(INSTANCES))
    start_ns = BEGIN - draw(st.sampled_from([0, 3600])) * SECOND
    time_ns = now_ns + draw(_offsets)
    n = draw(st.integers(1, 500))
    if draw(st.booleans()):
        return Total(key, instance, CPU_USAGE, "s", start_ns, time_ns, n / 4)
    sum_ns = n * SECOND
    return TaskTotals(
        key, instance, draw(st.sampled_from(["t", "u"])), start_ns, time_ns, draw(st.booleans()), n, sum_ns, 1,
        20 * SECOND, {sketch.index_of(SECOND): n - n // 2, sketch.index_of(9 * SECOND): n // 2},
    )  # fmt: skip


@st.composite
def streams(draw: st.DrawFn, *, goes_back: bool = False) -> list[Batch]:
    """Batches at rising times; with ``goes_back`` the clock may also fall."""
    batches: list[Batch] = []
    now_ns = BEGIN
    for _ in range(draw(st.integers(1, 14))):
        low = -3 * SECOND if goes_back else 0
        now_ns += draw(st.integers(low, 5 * SECOND) | st.just(20 * SECOND))
        any_sample = (
            task_samples(now_ns) | readings(now_ns) | totals(now_ns) | named_values(now_ns) | increases(now_ns)
            | tokens(now_ns)
        )  # fmt: skip
        samples: list[Sample] = draw(st.lists(any_sample, max_size=6))
        batches.append(Batch(now_ns, tuple(samples)))
    return batches
