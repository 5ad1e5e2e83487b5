"""What is the same when samples of spans are held and handed over together: everything decided, while no grid point
lies between arrival and hand-over and the agents are known. Decision 13 says what differs otherwise, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.metric_types import CPU_USAGE
from bmad_processor.model import Batch, Reading, Sample, Source, TaskSample, TokenSample
from bmad_processor.settings import SECOND, EngineSettings

from .strategies import BEGIN, EARLY, INSTANCES, KEYS, SETTINGS, streams
from .test_engine_laws import Ran, run, with_ending

CELL_NS = EARLY.early_interval_ns
"""Pane ends, the watermark and every timeout of `SETTINGS` fall on this grid, as early judgement does."""


def introduced(batches: list[Batch]) -> list[Batch]:
    """The same when every agent and instance has been heard of before, by a metric, which is never held."""
    before_ns = BEGIN - 30 * SECOND
    hello = tuple(Reading(key, who, CPU_USAGE, "", before_ns, 0.1) for key in KEYS for who in INSTANCES)
    return [Batch(before_ns, hello), *batches]


def is_held(sample: Sample) -> bool:
    return isinstance(sample, TaskSample | TokenSample) and sample.source is Source.SPAN


def in_cells(batches: list[Batch], data: st.DataObject) -> list[list[Batch]]:
    """Each sample by itself, at a time of its own within the cell of its batch."""
    by_cell: dict[int, list[Sample]] = {}
    for batch in batches:
        by_cell.setdefault(batch.time_ns - batch.time_ns % CELL_NS, []).extend(batch.samples)
    cells: list[list[Batch]] = []
    for begin_ns, samples in by_cell.items():
        n = len(samples)
        offsets = sorted(data.draw(st.lists(st.integers(0, CELL_NS - 1), min_size=n, max_size=n)))
        cells.append([Batch(begin_ns + at, (each,)) for at, each in zip(offsets, samples, strict=True)])
    return cells


def held(cell: list[Batch]) -> list[Batch]:
    """As `run.intake` does it: a metric hands over what is held before it, in one batch."""
    handed: list[Batch] = []
    waiting: list[Sample] = []
    for batch in cell:
        waiting += batch.samples
        if not all(map(is_held, batch.samples)):
            handed.append(Batch(batch.time_ns, tuple(waiting)))
            waiting = []
    if waiting:
        handed.append(Batch(cell[-1].time_ns, tuple(waiting)))
    return handed


def without_arrivals(ran: Ran) -> Any:
    """States without the times at which something was heard."""
    found = {}
    for name, partition in ran.state.partitions.items():
        instances = {who: replace(each, first_seen_ns=0, last_seen_ns=0) for who, each in partition.instances.items()}
        found[name] = (partition.panes, partition.conditions, partition.baselines, partition.tasks_total, instances)
    return found


@pytest.mark.parametrize("settings", [SETTINGS, EARLY], ids=["pane ends", "early"])
@given(streams(), st.data())
def test_holding_between_two_grid_points_decides_the_same(
    settings: EngineSettings, batches: list[Batch], data: st.DataObject
) -> None:
    cells = in_cells(introduced(batches), data)
    ending = with_ending([Batch(batches[-1].time_ns + CELL_NS)])
    at_once = run([batch for cell in cells for batch in cell] + ending, settings)
    together = run([batch for cell in cells for batch in held(cell)] + ending, settings)
    assert together.said() == at_once.said()
    assert together.state.counters == at_once.state.counters
    assert without_arrivals(together) == without_arrivals(at_once)
