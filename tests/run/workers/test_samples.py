"""Samples arrive at another worker as they were."""

from __future__ import annotations

import typing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.model import Exemplar, Sample
from bmad_processor.run.workers.samples import dump_samples, load_samples

_SIZES = st.integers(min_value=0, max_value=2**64 - 1)
_FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    int: _SIZES,
    float: st.floats(allow_nan=False),
    str: st.text(),
}
for _type, _strategy in _FIELDS.items():
    st.register_type_strategy(_type, _strategy)


def _any_sample() -> st.SearchStrategy[Sample]:
    return st.one_of(
        *(
            st.builds(
                type_, **({"buckets": st.dictionaries(st.integers(-200, 200), _SIZES)} if _has_buckets(type_) else {})
            )
            for type_ in typing.get_args(Sample)
        )
    )


def _has_buckets(type_: type[Any]) -> bool:
    return "buckets" in type_.__dataclass_fields__


@settings(max_examples=200, deadline=None)
@given(st.lists(_any_sample(), max_size=8))
def test_they_are_the_same_after_the_way(samples: list[Sample]) -> None:
    came = load_samples(dump_samples(samples))
    assert list(came) == samples
    for one, other in zip(came, samples, strict=True):
        assert type(one) is type(other)
        exemplars = getattr(one, "exemplars", ())
        assert all(type(exemplar) is Exemplar for exemplar in exemplars)
        assert type(getattr(one, "source", None)) is type(getattr(other, "source", None))


def test_every_kind_of_sample_can_go() -> None:
    seen: set[type[Any]] = set()

    @settings(max_examples=300, deadline=None, database=None)
    @given(_any_sample())
    def look(sample: Sample) -> None:
        seen.add(type(sample))
        assert load_samples(dump_samples([sample])) == (sample,)

    look()
    assert seen == set(typing.get_args(Sample))
