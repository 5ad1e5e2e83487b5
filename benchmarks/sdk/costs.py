"""From samples to figures: what a form costs over the same function untracked, and ratios of such costs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Self

from sdk.children import Group


@dataclass(frozen=True)
class Ratio:
    """Median of the ratios of the rounds and their quartiles: pairs of one round had the same noise."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, numerators: list[float], denominators: list[float]) -> Self:
        ratios = sorted(a / b for a, b in zip(numerators, denominators, strict=True))
        n = len(ratios)
        return cls(statistics.median(ratios), ratios[n // 4], ratios[-1 - n // 4])

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Cost:
    """CPU seconds a call costs more than a call of the same function untracked, one value a round.

    ``caller_s``: of the thread that calls. ``whole_s``: of the whole process, collecting and exporting included.
    """

    caller_s: list[float]
    whole_s: list[float]

    @classmethod
    def of(cls, group: Group, child: str, form: str, *, baseline: str = "plain") -> Self:
        form_samples, plain_samples = group.samples[child, form], group.samples[child, baseline]
        plain_s = plain_samples.caller_s
        return cls(
            [a - b for a, b in zip(form_samples.caller_s, plain_s, strict=True)],
            [a - b for a, b in zip(form_samples.whole_s, plain_s, strict=True)],
        )

    @property
    def caller_median_s(self) -> float:
        return statistics.median(self.caller_s)

    @property
    def whole_median_s(self) -> float:
        return statistics.median(self.whole_s)


def trouble(group: Group, child: str, form: str, *, spans_per_call: int = 1) -> str | None:
    """Why there is no cost of this form; also when its spans did not arrive, since then it did not do its work."""
    if child in group.failed:
        return group.failed[child]
    samples = group.samples[child, form]
    if samples.error is not None:
        return samples.error
    wanted = samples.n_calls * spans_per_call
    # a batch processor with a full queue drops spans, which is its right
    if samples.n_spans < 0.5 * wanted or samples.n_spans > wanted:
        return f"{samples.n_spans:,} spans arrived of {wanted:,}"
    return None
