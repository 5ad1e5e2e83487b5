"""Samples as bytes, for the way between two workers of one run.

`marshal` is the fastest of the standard library's formats and is meant for exactly this: processes of one program and
one interpreter. It trusts its input, so these bytes come from inherited socket pairs only, never from a listener.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, get_args

from bmad_processor.model import Exemplar, ModelKey, PartitionKey, Sample, Source

_TYPES: Final[tuple[type[Any], ...]] = get_args(Sample)
"""A sample's type is written as its place in the union."""

_CODES: Final = {type_: code for code, type_ in enumerate(_TYPES)}

_Change = Callable[[Any], Any]

_MODEL_OF: Final = attrgetter("provider", "model", "workflow")
_KEY_OF: Final = attrgetter("kind", "namespace", "name")
_EXEMPLAR_OF: Final = attrgetter("trace_id", "duration_ns", "task", "error")

_WRITE: Final[dict[str, _Change]] = {
    "key": _KEY_OF,
    "source": str.__str__,
    "model": _MODEL_OF,
    "exemplars": lambda exemplars: tuple(map(_EXEMPLAR_OF, exemplars)),
    "buckets": dict,
}
"""Field to what `marshal` can write of it; all other fields are numbers and strings."""

_READ: Final[dict[str, _Change]] = {
    "key": lambda value: PartitionKey(*value),
    "source": Source,
    "model": lambda value: ModelKey(*value),
    "exemplars": lambda value: tuple(Exemplar(*one) for one in value),
}


def _names(type_: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(type_))


_FIELDS: Final = [attrgetter(*_names(type_)) for type_ in _TYPES]
_WRITERS: Final = [[(at, _WRITE[name]) for at, name in enumerate(_names(t)) if name in _WRITE] for t in _TYPES]
_READERS: Final = [[(at, _READ[name]) for at, name in enumerate(_names(t)) if name in _READ] for t in _TYPES]


def dump_samples(samples: Sequence[Sample]) -> bytes:
    """The bytes of ``samples``."""
    rows = []
    for sample in samples:
        code = _CODES[type(sample)]
        row = list(_FIELDS[code](sample))
        for at, change in _WRITERS[code]:
            row[at] = change(row[at])
        rows.append((code, row))
    return marshal.dumps(rows)


def load_samples(data: bytes) -> tuple[Sample, ...]:
    """Inverse of `dump_samples`."""
    samples: list[Sample] = []
    for code, row in marshal.loads(data):  # noqa: S302 - written by `dump_samples` in a process of ours
        for at, change in _READERS[code]:
            row[at] = change(row[at])
        samples.append(_TYPES[code](*row))
    return tuple(samples)
