"""What tokens cost, from the price list that comes with the package `genai-prices`; nothing is fetched.

Money exists only at the edge: the engine keeps tokens, and an amount is worked out when somebody asks, by the prices
this release knows. Without the package (the embedded monitor runs without it) there are no amounts, and answers say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .errors import MissingExtra
from .model import ModelKey
from .state import TokenUse

CURRENCY: Final = "USD"
"""Of every amount; the list has no other."""

_MAX_RATES: Final = 4096
"""Kinds of calls whose price is remembered. A look-up takes half a millisecond."""

_PROVIDERS: Final = {"x_ai": "x-ai"}
"""What the conventions call a provider, where the list does not understand it."""

Rates = tuple[float, float]
"""US dollars for one input token and for one output token."""


class Prices:
    """Prices of model calls. Thread-safe: what two threads look up at once is the same."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str, int, int], Rates | None] = {}
        self._look_up: Callable[[str, str, int, int], Rates | None] | None = None
        self._missing = ""

    def amount(self, model: ModelKey, use: TokenUse) -> float | None:
        """What ``use`` cost, in `CURRENCY`; None when there is no price for the model.

        Where the price depends on the length of a call, the average call decides.
        """
        if not use.input_tokens and not use.output_tokens:
            return 0.0
        per_call = (_average(use.input_tokens, use.input_calls), _average(use.output_tokens, use.output_calls))
        key = (model.provider, model.model, *per_call)
        if key not in self._rates:
            if len(self._rates) >= _MAX_RATES:
                self._rates.clear()
            self._rates[key] = self._rates_of(*key)
        rates = self._rates.get(key)
        return None if rates is None else use.input_tokens * rates[0] + use.output_tokens * rates[1]

    @property
    def missing(self) -> str:
        """Why there is no price for anything, once that was found out; empty when there is a list."""
        return self._missing

    def _rates_of(self, provider: str, model: str, input_tokens: int, output_tokens: int) -> Rates | None:
        if self._look_up is None:
            if self._missing:
                return None
            try:
                self._look_up = _price_list()
            except ImportError:
                self._missing = str(MissingExtra("working out costs", "collector"))
                return None
        return self._look_up(provider, model, input_tokens, output_tokens)


def _average(tokens: int, calls: int) -> int:
    """Tokens of the average call, rounded to two digits: enough to find a price, and few enough to remember."""
    average = max(1, round(tokens / max(1, calls)))
    unit = int(10.0 ** max(0, len(str(average)) - 2))
    return round(average / unit) * unit


def _price_list() -> Callable[[str, str, int, int], Rates | None]:
    # imported when the first tokens are priced: it takes a quarter of a second, and programs without tokens never do
    from genai_prices import Usage, calc_price

    def look_up(provider: str, model: str, input_tokens: int, output_tokens: int) -> Rates | None:
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        try:
            # without a provider the list goes by the name of the model alone; an unknown one has no price, for the
            # same model costs something else there, or nothing
            price: Any = calc_price(usage, model_ref=model, provider_id=_PROVIDERS.get(provider, provider) or None)
        except (LookupError, ValueError):
            return None
        return float(price.input_price) / input_tokens, float(price.output_price) / output_tokens

    return look_up
