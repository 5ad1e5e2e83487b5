"""Whether what just came can be bad news: the cheap question that decides if a partition is judged early.

Asked of the pane a sample went to, after it went there. Nothing is missed, because no value over a window is beyond a
threshold when the same value over each pane, instance and stream of it is within (for n parts):

* the failed share is a mediant: ``sum(e) / sum(n) <= max(e / n)``;
* if in every part at least 95 % lie in buckets below the threshold's, so do 95 % of all: the 95th percentile of a
  mixture is at most the largest of its parts;
* a mean of readings is at most the largest mean of its parts, and one of instances at most the largest of these.

A sum can be beyond with no reading beyond. Over instances, a reading counts times the instances of the partition; of
several streams of one instance (CPU time by state) the pane end decides, if no single one is beyond. Throughput, a
thing of the whole pane, is judged at pane ends, and so are task metrics whose profile turns their direction.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

from bmad_processor.metric_types import ERROR_RATE, METRIC_TYPES, RESPONSE_TIME, SUCCESS_RATE, Combine
from bmad_processor.model import Increase, Reading, Sample, Source, TaskSample, TaskTotals, Total
from bmad_processor.settings import SECOND, Bounds, Profile
from bmad_processor.sketch import index_of
from bmad_processor.state import Cell, Pane, Tasks

RESPONSE_QUANTILE: Final = 0.95

_FEW: Final = 20
"""Of fewer than this the 95th percentile is the largest."""

Limit = Callable[[str, Bounds], float]
"""Of a metric type: what ``sign * value`` must be above to be news; infinite when nothing would be."""


def is_suspect(
    sample: Sample, pane: Pane, profile: Profile, limit: Limit, *, instance: str, name: str, n_instances: int
) -> bool:
    """Whether ``sample``, which was added to ``pane``, may have brought a series beyond its ``limit``.

    ``instance`` and ``name`` are what the sample's instance and metric type are kept under.
    """
    if isinstance(sample, TaskSample):
        return _is_task_suspect(sample, pane.tasks.get((instance, str(sample.source))), profile, limit)
    if isinstance(sample, TaskTotals):
        tasks = pane.tasks.get((instance, str(Source.METRIC)))
        return _is_failing(tasks, profile, limit) or _is_slow(tasks, profile, limit)
    if isinstance(sample, Reading | Total | Increase):
        bounds = profile.bounds.get(name)
        cell = None if bounds is None else pane.cells.get((name, instance, sample.stream))
        if bounds is not None and cell is not None and cell.weight > 0:
            return _worst(cell, name, bounds, n_instances) > limit(name, bounds)
    return False


def _is_task_suspect(sample: TaskSample, tasks: Tasks | None, profile: Profile, limit: Limit) -> bool:
    # a sample without failures makes no share worse, one without slow tasks no percentile
    if sample.errors and _is_failing(tasks, profile, limit):
        return True
    bounds = profile.bounds.get(RESPONSE_TIME)
    is_worth_it = bounds is not None and (sample.max_ns > bounds.first * SECOND or not sample.max_ns)
    return is_worth_it and _is_slow(tasks, profile, limit)


def _is_failing(tasks: Tasks | None, profile: Profile, limit: Limit) -> bool:
    if tasks is None or not tasks.errors or tasks.count <= 0:
        return False
    share = min(tasks.errors / tasks.count, 1.0)
    failed, succeeded = profile.bounds.get(ERROR_RATE), profile.bounds.get(SUCCESS_RATE)
    if failed is not None and failed.sign > 0 and share > limit(ERROR_RATE, failed):
        return True
    return succeeded is not None and succeeded.sign < 0 and share - 1 > limit(SUCCESS_RATE, succeeded)


def _is_slow(tasks: Tasks | None, profile: Profile, limit: Limit) -> bool:
    bounds = profile.bounds.get(RESPONSE_TIME)
    if tasks is None or bounds is None or bounds.sign < 0:
        return False
    if tasks.max_ns and tasks.max_ns <= bounds.first * SECOND:
        return False
    limit_ns = limit(RESPONSE_TIME, bounds) * SECOND
    n = sum(tasks.buckets.values())
    if limit_ns == float("inf") or not n:
        return False
    if n < _FEW and tasks.max_ns > limit_ns:
        return True
    lowest = index_of(max(1, int(limit_ns)))
    n_slow = sum([count for index, count in tasks.buckets.items() if index >= lowest])
    return n_slow > n - ceil(RESPONSE_QUANTILE * n)


def _worst(cell: Cell, name: str, bounds: Bounds, n_instances: int) -> float:
    """What stands for the partition's value: the mean of the cell, of a sum it as often as there are instances."""
    value = cell.total / cell.weight
    row = METRIC_TYPES.get(name)
    if row is not None and row.combine is Combine.SUM and bounds.sign > 0:
        value *= n_instances
    return bounds.sign * value
