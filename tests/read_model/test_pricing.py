"""Prices come from the list of genai-prices; what is not in it has none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bmad_processor.model import ModelKey
from bmad_processor.pricing import Prices
from bmad_processor.state import TokenUse

from .partitions import use


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


@pytest.mark.parametrize("provider", ["openai", ""])
def test_a_known_model(prices: Prices, provider: str) -> None:
    """gpt-4o has cost 2.50 dollars for a million input and 10 for a million output tokens since October 2024."""
    amount = prices.amount(ModelKey(provider, "gpt-4o", "any"), use(10, 1_000_000, 100_000))
    assert amount == pytest.approx(2.5 + 1.0)


def test_tokens_of_one_kind(prices: Prices) -> None:
    assert prices.amount(ModelKey("openai", "gpt-4o", ""), TokenUse(1000, 0, 3, 0)) == pytest.approx(0.0025)
    assert prices.amount(ModelKey("openai", "gpt-4o", ""), TokenUse(0, 1000, 0, 3)) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "model", [ModelKey("openai", "home-made-7b", ""), ModelKey("", "", ""), ModelKey("my-proxy", "gpt-4o", "")]
)
def test_without_a_price(prices: Prices, model: ModelKey) -> None:
    """A known model at a provider nobody knows may cost anything."""
    assert prices.amount(model, use(1, 10, 10)) is None
    assert prices.missing == ""


def test_nothing_used_costs_nothing(prices: Prices) -> None:
    assert prices.amount(ModelKey("", "home-made-7b", ""), use(3, 0, 0)) == 0


def test_the_length_of_a_call_decides_not_the_sum_of_all(prices: Prices) -> None:
    """gemini-2.5-pro costs more for prompts of more than 200,000 tokens; a thousand short ones are not one long one."""
    model = ModelKey("gcp.gemini", "gemini-2.5-pro", "")
    many, one = use(1000, 1_000_000, 1000), use(1, 1_000_000, 1000)
    short = prices.amount(model, use(1, 1000, 1))
    assert short is not None
    assert prices.amount(model, many) == pytest.approx(1000 * short)
    long = prices.amount(model, one)
    assert long is not None
    assert long > 1.5 * 1000 * short


def test_amounts_grow_with_use(prices: Prices) -> None:
    model = ModelKey("anthropic", "claude-sonnet-4-5", "")
    amounts = [prices.amount(model, use(n, n * 1234, n * 56)) for n in (1, 2, 10, 1000)]
    assert amounts == pytest.approx([n * (amounts[0] or 0) for n in (1, 2, 10, 1000)])
    assert (amounts[0] or 0) > 0


WITHOUT = """
import sys
sys.modules["genai_prices"] = None
from bmad_processor.model import ModelKey
from bmad_processor.pricing import Prices
from bmad_processor.state import TokenUse
prices = Prices()
assert prices.amount(ModelKey("openai", "gpt-4o", ""), TokenUse(1, 1, 1, 1)) is None
assert prices.amount(ModelKey("openai", "gpt-4o", ""), TokenUse(2, 1, 1, 1)) is None
print(prices.missing)
"""


def test_without_the_package_the_reason_is_told() -> None:
    told = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "working out costs needs an extra: pip install 'bmad-otel[collector]'\n"


def test_the_list_is_not_loaded_before_there_are_tokens() -> None:
    code = "import sys, bmad_processor.read_model; print('genai_prices' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "False\n"
