"""Which custom and reported values of a partition have a series of their own.

A program that makes names out of ids would make a series per id: the first `max_names` have their own, the rest share
one per kind. A name that was silent for `forget_after` gives its place to a new one.
"""

from __future__ import annotations

from typing import Final

from bmad_processor.metric_types import CUSTOM_PREFIX, REPORTED_PREFIX, is_custom
from bmad_processor.model import Reading
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Condition, EngineState, Named, Partition

CUSTOM_OVERFLOW: Final = CUSTOM_PREFIX + "overflow"
REPORTED_OVERFLOW: Final = REPORTED_PREFIX + "overflow"
_OVERFLOWS: Final = (CUSTOM_OVERFLOW, REPORTED_OVERFLOW)


def admit(state: EngineState, partition: Partition, sample: Reading, time_ns: int, settings: EngineSettings) -> str:
    """The metric type under which a custom or reported reading is kept. Counts ``names_folded``."""
    name = sample.metric_type
    known = partition.names.get(name)
    if known is not None:
        known.last_seen_ns = max(known.last_seen_ns, time_ns)
        known.unit = sample.unit or known.unit
        return name
    n_own = sum(other not in _OVERFLOWS for other in partition.names)
    if name not in _OVERFLOWS and n_own >= settings.max_names and not _make_room(state, partition, settings):
        state.count("names_folded")
        name = CUSTOM_OVERFLOW if is_custom(name) else REPORTED_OVERFLOW
        # what different names share has no unit
        folded = partition.names.setdefault(name, Named("", time_ns))
        folded.last_seen_ns = max(folded.last_seen_ns, time_ns)
        return name
    partition.names[name] = Named(sample.unit, time_ns)
    return name


def _make_room(state: EngineState, partition: Partition, settings: EngineSettings) -> bool:
    """Forgets the name that was silent for longest, if that is long enough and no alert of it is open."""
    forget_ns = state.now_ns - settings.forget_after_ns
    old = [
        (named.last_seen_ns, name)
        for name, named in partition.names.items()
        if named.last_seen_ns < forget_ns and name not in _OVERFLOWS and _is_settled(partition.conditions.get(name))
    ]
    if not old:
        return False
    _, name = min(old)
    del partition.names[name]
    partition.baselines.pop(name, None)
    partition.latest.pop(name, None)
    partition.conditions.pop(name, None)
    return True


def _is_settled(condition: Condition | None) -> bool:
    return condition is None or condition.status == Condition().status
