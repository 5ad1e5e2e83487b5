"""Partitions with tokens, as the engine leaves them."""

from __future__ import annotations

from bmad_processor.model import ModelKey, PartitionKey
from bmad_processor.settings import SECOND
from bmad_processor.state import Instance, Pane, Partition, Tasks, TokenUse

T0 = 1_800_000_000 * SECOND
GPT, MINI = ModelKey("openai", "gpt-4o", ""), ModelKey("openai", "gpt-4o-mini", "release")
HOME_MADE = ModelKey("", "home-made-7b", "")


def use(calls: int, input_tokens: int, output_tokens: int) -> TokenUse:
    return TokenUse(input_tokens, output_tokens, calls, calls)


def agent(name: str, tokens: dict[ModelKey, TokenUse], *, namespace: str = "") -> Partition:
    partition = Partition(PartitionKey("agent", namespace, name), T0, T0 + 60 * SECOND)
    partition.tokens, partition.tokens_since_ns = tokens, T0
    return partition


def busy(partition: Partition, *, n_instances: int, tasks: int, each_s: float, window_s: int = 60) -> Partition:
    """With tasks in its last minute, evenly spread over its instances."""
    names = [f"i{n}" for n in range(n_instances)]
    partition.instances = {name: Instance(T0 - 3600 * SECOND, T0 + window_s * SECOND) for name in names}
    each_ns = round(each_s * SECOND)
    pane = Pane(T0 + (window_s - 5) * SECOND)
    for name in names:
        n = tasks // n_instances
        pane.tasks[(name, "span")] = Tasks(n, 0, n * each_ns, each_ns, each_ns, 0, {50: n})
    partition.first_seen_ns = T0 - 3600 * SECOND
    partition.panes = [pane]
    return partition
