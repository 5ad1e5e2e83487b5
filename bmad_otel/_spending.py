"""What the model calls of one piece of work used in all, for whoever asked for the work.

The sums on spans and metrics are for backends. A workflow also tells its caller, so a `Spending` goes along in
OpenTelemetry's context, into threads and nested tasks, and takes what `TaskHandle.record` is told there, whether or not
anything is exported.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from bmad_otel._labels import MAX_NAME_LENGTH

_KEY: Final = otel_context.create_key("bmad_otel.spending")

MAX_MODELS: Final = 100
"""Models kept apart; further ones are kept under `OTHER_MODEL`, so that a name with an id in it fills no memory."""

OTHER_MODEL: Final = "_OTHER"


@dataclass(slots=True)
class Tokens:
    """Sums over ``calls`` model calls."""

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0

    def add(self, other: Tokens) -> None:
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.calls += other.calls


class Spending:
    """Tokens by model; None stands for calls that named no model. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_model: dict[str | None, Tokens] = {}

    def add(self, model: str | None, tokens: Tokens) -> None:
        """Count one or more model calls."""
        name = None if model is None else str(model)[:MAX_NAME_LENGTH]
        with self._lock:
            if name not in self._by_model and len(self._by_model) >= MAX_MODELS:
                name = OTHER_MODEL
            self._by_model.setdefault(name, Tokens()).add(tokens)

    def by_model(self) -> dict[str | None, Tokens]:
        """The sums so far."""
        with self._lock:
            return {
                name: Tokens(found.input_tokens, found.output_tokens, found.calls)
                for name, found in self._by_model.items()
            }


def spending_to(spending: Spending, context: Context | None = None) -> Context:
    """``context``, by default the current one, in which model calls are also counted in ``spending``."""
    return otel_context.set_value(_KEY, spending, context)


def spending_in(context: Context | None = None) -> Spending | None:
    """Where model calls made in ``context``, by default the current one, are also counted."""
    found = otel_context.get_value(_KEY, context)
    return found if isinstance(found, Spending) else None
