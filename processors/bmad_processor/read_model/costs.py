"""Tokens and money: of one agent, and of everything by agent, model or workflow.

Tokens are those since the agent was first heard of; an agent that the engine has forgotten is not in the sums. Amounts
are worked out when asked, by `pricing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bmad_processor.measure import SECOND, measure, panes_in_window, tasks_of
from bmad_processor.metric_types import THROUGHPUT
from bmad_processor.model import ModelKey
from bmad_processor.pricing import CURRENCY, Prices
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition, TokenUse
from bmad_processor.summary import agent_label

UNKNOWN: Final = "unknown"
"""How a model is called that the sender did not name."""

_DIGITS: Final = 10
"""Of an amount: below any price of a token, above the noise of adding."""


@dataclass(slots=True)
class Bill:
    """A sum of tokens and what it cost."""

    use: TokenUse = field(default_factory=TokenUse)
    amount: float | None = None
    """None when nothing in it has a price."""
    unpriced: set[str] = field(default_factory=set)
    """Models without a price."""
    calls: int = 0

    def add(self, model: ModelKey, use: TokenUse, amount: float | None) -> None:
        self.use.add(use)
        self.calls += use.calls
        if amount is None:
            self.unpriced.add(model.model or UNKNOWN)
        else:
            self.amount = (self.amount or 0.0) + amount

    def to_dict(self) -> dict[str, Any]:
        # nothing used costs nothing, priced or not
        amount = 0.0 if not self.calls else self.amount
        return {
            "input_tokens": self.use.input_tokens,
            "output_tokens": self.use.output_tokens,
            "calls": self.calls,
            "amount": None if amount is None else round(amount, _DIGITS),
        }


def _add(bills: dict[str, Bill], key: str, model: ModelKey, use: TokenUse, amount: float | None) -> None:
    bills.setdefault(key, Bill()).add(model, use, amount)


def agent_cost(partition: Partition, settings: EngineSettings, prices: Prices, now_ns: int) -> dict[str, Any]:
    """What one agent's model calls cost so far, and what its instances cost in an hour."""
    total = Bill()
    by_model: dict[str, Bill] = {}
    for model, use in partition.tokens.items():
        amount = prices.amount(model, use)
        total.add(model, use, amount)
        _add(by_model, model.model or UNKNOWN, model, use, amount)
    return {
        **total.to_dict(),
        "currency": CURRENCY,
        **_completeness(total, prices),
        "by_model": {name: bill.to_dict() for name, bill in sorted(by_model.items())},
        "since": partition.tokens_since_ns / 1e9 if partition.tokens_since_ns else None,
        "instances": instance_cost(partition, settings, now_ns),
    }


def _completeness(total: Bill, prices: Prices) -> dict[str, Any]:
    return {
        "is_complete": not total.unpriced,
        "unpriced_models": sorted(total.unpriced),
        "note": (prices.missing or None) if total.unpriced else None,
    }


def instance_cost(partition: Partition, settings: EngineSettings, now_ns: int) -> dict[str, Any]:
    """What the instances alive cost in an hour, and the share of it for which they had no task.

    Busy is throughput times mean duration, divided by the instances: the mean number of tasks that run in one of them,
    1 at most. An instance that runs several tasks at once therefore seems busier than it is, never idler. None where no
    instance reported tasks in the window, and for money where the profile has no ``cost_per_hour``.
    """
    oldest_ns = now_ns - settings.instance_timeout_ns
    count = sum(instance.last_seen_ns >= oldest_ns for instance in partition.instances.values())
    price = settings.profiles.of(partition.key).scaling.cost_per_hour
    idle_ratio = _idle_ratio(partition, settings, now_ns, count)
    per_hour = None if price is None else round(count * price, _DIGITS)
    is_known = per_hour is not None and idle_ratio is not None
    return {
        "count": count,
        "per_hour": per_hour,
        "idle_ratio": idle_ratio,
        "idle_per_hour": round(per_hour * idle_ratio, _DIGITS) if is_known else None,  # type: ignore[operator]
    }


def _idle_ratio(partition: Partition, settings: EngineSettings, now_ns: int, count: int) -> float | None:
    panes = panes_in_window(partition.panes, settings, now_ns)
    throughput = measure(partition, panes, settings, end_ns=now_ns).get(THROUGHPUT)
    if throughput is None or not count:
        return None
    tasks = tasks_of(partition, panes)
    mean_s = tasks.sum_ns / SECOND / tasks.count if tasks.count else 0.0
    return 1.0 - min(1.0, throughput.value * mean_s / count)


def _of_agent(partition: Partition, model: ModelKey) -> str:
    del model
    label, namespace = agent_label(partition.key), partition.key.namespace
    return f"{namespace}/{label}" if namespace else label


def _of_model(partition: Partition, model: ModelKey) -> str:
    del partition
    return model.model or UNKNOWN


def _of_workflow(partition: Partition, model: ModelKey) -> str:
    del partition
    return model.workflow


GROUPS: Final[dict[str, Callable[[Partition, ModelKey], str]]] = {
    "agent": _of_agent,
    "model": _of_model,
    "workflow": _of_workflow,
}


def costs(partitions: Sequence[Partition], group_by: str, prices: Prices, now_ns: int) -> dict[str, Any]:
    """Tokens and amounts of all agents, by one of `GROUPS`, the dearest first.

    The key of calls outside of any workflow is empty. ``share`` is of the total amount, None where either has no price.
    """
    key_of = GROUPS[group_by]
    bills: dict[str, Bill] = {}
    total = Bill()
    for partition in partitions:
        for model, use in partition.tokens.items():
            amount = prices.amount(model, use)
            total.add(model, use, amount)
            _add(bills, key_of(partition, model), model, use, amount)
    rows = [{"key": key, **bill.to_dict(), "share": _share(bill, total)} for key, bill in bills.items()]
    rows.sort(key=lambda row: (row["amount"] is None, -(row["amount"] or 0.0), -_tokens(row), row["key"]))
    return {
        "group_by": group_by,
        "currency": CURRENCY,
        "rows": rows,
        "total": total.to_dict(),
        **_completeness(total, prices),
        "since": _since(partitions),
        "as_of": now_ns / 1e9,
    }


def _share(bill: Bill, total: Bill) -> float | None:
    return round(bill.amount / total.amount, _DIGITS) if bill.amount is not None and total.amount else None


def _tokens(row: dict[str, Any]) -> int:
    return int(row["input_tokens"] + row["output_tokens"])


def _since(partitions: Iterable[Partition]) -> float | None:
    return min((p.tokens_since_ns / 1e9 for p in partitions if p.tokens_since_ns), default=None)
