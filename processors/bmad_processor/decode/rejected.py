"""Taking rejected items out of a request."""

from __future__ import annotations

from typing import Any


def prune(messages: Any, *levels: str) -> None:
    """Removes messages of a repeated field that have nothing left in the repeated fields below them.

    ``levels`` are the names from the outside in: OTLP asks senders for no empty envelopes, and what we send on is sent.
    """
    if not levels:
        return
    name, *deeper = levels
    for index in reversed(range(len(messages))):
        below = getattr(messages[index], name)
        prune(below, *deeper)
        if not below:
            del messages[index]
