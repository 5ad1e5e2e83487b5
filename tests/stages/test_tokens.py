"""Tokens in the window stage: differences, resets, one source per instance, and how many models are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bmad_processor import window
from bmad_processor.model import ModelKey, PartitionKey, Source, TokenSample, TokenTotals
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState, Partition, TokenUse

KEY = PartitionKey("agent", "", "Architect")
T0 = 1_800_000_000 * SECOND
GPT = ModelKey("openai", "gpt-4o", "")


class Window:
    """One partition at a virtual time."""

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.settings = settings or EngineSettings()
        self.state = EngineState(now_ns=T0)
        self.partition = Partition(KEY, T0, T0)

    def add(self, sample: TokenSample | TokenTotals) -> int | None:
        self.state.now_ns = max(self.state.now_ns, sample.time_ns)
        return window.add(self.state, self.partition, sample, self.settings)

    @property
    def tokens(self) -> dict[ModelKey, TokenUse]:
        return self.partition.tokens


def sample(
    seconds: float, n: int, *, source: Source = Source.SPAN, instance: str = "a", model: ModelKey = GPT
) -> TokenSample:
    return TokenSample(KEY, instance, source, T0 + round(seconds * SECOND), model, n * 10, n, n, n)


def totals(
    seconds: float, n: int, *, start: float = 0, instance: str = "a", is_output: bool = False, model: ModelKey = GPT
) -> TokenTotals:
    """``n`` calls of ten tokens each since ``start``."""
    stream = f"{model}{is_output}"
    return TokenTotals(
        KEY, instance, stream, T0 + round(start * SECOND), T0 + round(seconds * SECOND), model, is_output, n, n * 10
    )


def test_spans_are_added_up_however_late_they_are() -> None:
    w = Window()
    w.add(sample(100, 2))
    w.add(sample(1, 3))
    assert w.tokens == {GPT: TokenUse(50, 5, 5, 5)}
    assert w.tokens[GPT].calls == 5
    assert w.partition.tokens_since_ns == T0 + 100 * SECOND
    assert w.state.counters == {}


def test_running_totals_become_differences() -> None:
    w = Window()
    for seconds, n in ((10, 3), (20, 3), (30, 8)):
        w.add(totals(seconds, n))
        w.add(totals(seconds, n, is_output=True))
    assert w.tokens == {GPT: TokenUse(80, 80, 8, 8)}


@pytest.mark.parametrize(("start", "n"), [(25, 9), (0, 2)], ids=["another start", "a smaller value"])
def test_a_sender_that_started_again_counts_from_zero(start: float, n: int) -> None:
    w = Window()
    w.add(totals(10, 5))
    w.add(totals(30, n, start=start))
    assert w.tokens == {GPT: TokenUse((5 + n) * 10, 0, 5 + n, 0)}


def test_a_point_twice_counts_once() -> None:
    w = Window()
    w.add(totals(10, 5))
    w.add(totals(10, 5))
    assert w.tokens[GPT].calls == 5
    assert w.state.counters == {"repeated": 1}


def test_what_was_used_before_we_were_there_is_not_counted() -> None:
    w = Window()
    w.add(totals(10, 1000, start=-9999))
    assert w.tokens == {}
    w.add(totals(20, 1003, start=-9999))
    assert w.tokens[GPT].calls == 3


def test_the_first_call_of_a_model_after_hours_of_work_is_counted() -> None:
    """All streams of a process begin with the process, also one whose first call is hours later."""
    w = Window()
    w.add(totals(10, 1000, start=-9999))
    late = ModelKey("openai", "o3", "")
    w.add(totals(7200, 2, start=-9999, model=late))
    assert w.tokens[late].calls == 2


def test_delta_points_are_added() -> None:
    w = Window()
    w.add(sample(1, 2, source=Source.METRIC))
    w.add(sample(2, 3, source=Source.METRIC))
    assert w.tokens[GPT].calls == 5


@pytest.mark.parametrize(
    "metric", [totals(10, 4, start=1), sample(10, 4, source=Source.METRIC)], ids=["totals", "delta"]
)
def test_where_there_is_the_metric_spans_are_taken_back_and_left_alone(metric: TokenSample | TokenTotals) -> None:
    w = Window()
    w.add(sample(5, 4))
    w.add(sample(5, 7, instance="b"))
    w.add(metric)
    w.add(sample(15, 9))
    assert w.tokens[GPT].input_calls == 4 + 7
    w.add(sample(15, 1, instance="b"))
    assert w.tokens[GPT].input_calls == 4 + 8


def test_a_metric_without_calls_says_that_others_count() -> None:
    """What the decoder tells when a sender reports the tokens of its spans under another agent."""
    w = Window()
    w.add(sample(5, 4))
    w.add(TokenSample(KEY, "a", Source.METRIC, T0 + 6 * SECOND, ModelKey("", "", ""), 0, 0, 0, 0))
    w.add(sample(7, 4))
    assert w.tokens == {}


def test_spans_before_a_metric_of_unknown_beginning_stay() -> None:
    w = Window()
    w.add(sample(5, 4))
    w.add(totals(10, 1000, start=-9999))
    w.add(totals(20, 1002, start=-9999))
    assert w.tokens[GPT].input_calls == 4 + 2


def test_models_and_workflows_are_bounded_and_keep_their_price() -> None:
    w = Window(replace(EngineSettings(), max_models=3))
    for n in range(10):
        w.add(sample(n, 1, model=ModelKey("openai", "gpt-4o", f"workflow-{n}")))
    w.add(sample(11, 1, model=ModelKey("acme", "new", "w")))
    assert set(w.tokens) == {
        *(ModelKey("openai", "gpt-4o", f"workflow-{n}") for n in range(3)),
        ModelKey("openai", "gpt-4o", "otel.overflow"),
        ModelKey("", "otel.overflow", "otel.overflow"),
    }
    assert w.tokens[ModelKey("openai", "gpt-4o", "otel.overflow")].calls == 7
    assert w.state.counters == {"models_folded": 8}


def test_folded_instances_are_told_apart() -> None:
    """A difference between two of them would be tokens that nobody used."""
    w = Window(replace(EngineSettings(), max_instances=1))
    for seconds in (10, 20, 30):
        w.add(totals(seconds, seconds, instance="a"))
        w.add(totals(seconds, 2 * seconds, instance="b"))
        w.add(totals(seconds, 5 * seconds, instance="c"))
    assert w.tokens[GPT].input_calls == 30 * 8
