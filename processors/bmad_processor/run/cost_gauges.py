"""The gauge of what agents have cost: tokens are taken with the engine's lock held, prices are looked up without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bmad_otel import semconv
from bmad_processor.emit import GaugeRow, partition_attributes
from bmad_processor.model import ModelKey
from bmad_processor.pricing import Prices
from bmad_processor.state import Partition, TokenUse


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Tokens of one agent and model, not yet priced."""

    model: ModelKey
    """Without a workflow."""
    use: TokenUse
    """A copy."""
    attributes: dict[str, str]


def token_rows(partition: Partition) -> Iterator[TokenRow]:
    """One row for each provider and model, all workflows together."""
    if not partition.tokens:
        return
    attributes = partition_attributes(partition.key)
    uses: dict[ModelKey, TokenUse] = {}
    for key, use in partition.tokens.items():
        uses.setdefault(ModelKey(key.provider, key.model, ""), TokenUse()).add(use)
    for model, use in uses.items():
        of_model = {semconv.GEN_AI_REQUEST_MODEL: model.model}
        if model.provider:
            of_model[semconv.GEN_AI_PROVIDER_NAME] = model.provider
        yield TokenRow(model, use, attributes | of_model)


def priced(rows: Iterable[GaugeRow | TokenRow], prices: Prices) -> Iterator[GaugeRow]:
    """The rows with amounts for tokens; a model without a price has no row, for 0 would be a lie."""
    for row in rows:
        if isinstance(row, GaugeRow):
            yield row
        elif (amount := prices.amount(row.model, row.use)) is not None:
            yield GaugeRow(semconv.COST, amount, row.attributes)
