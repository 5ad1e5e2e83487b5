"""Tokens of model calls, summed per model, provider and workflow; running totals into differences.

Where an instance has a token metric, the metric is the truth: what its spans said before is taken back, what they say
after is not counted.
"""

from __future__ import annotations

from bmad_processor.model import ModelKey, Source, TokenSample, TokenTotals
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState, Instance, Partition, TokenUse

from .streams import OVERFLOW, is_beginning_known, stream_of


def add_tokens(
    state: EngineState,
    partition: Partition,
    instance: Instance,
    sample: TokenSample,
    time_ns: int,
    settings: EngineSettings,
) -> None:
    """Adds what spans or a delta histogram say. A metric without calls only says that there is one."""
    use = TokenUse(sample.input_tokens, sample.output_tokens, sample.input_calls, sample.output_calls)
    if sample.source is Source.METRIC:
        _trust_metrics(partition, instance)
    elif instance.has_token_metrics:
        return
    if not use.calls:
        return
    key = _count(state, partition, sample.model, use, time_ns, settings)
    if sample.source is Source.SPAN:
        instance.span_tokens.setdefault(key, TokenUse()).add(use)


def add_token_totals(
    state: EngineState,
    partition: Partition,
    name: str,
    sample: TokenTotals,
    time_ns: int,
    settings: EngineSettings,
) -> None:
    """Adds what a cumulative histogram counted since its last point. ``name`` is what its instance is kept under."""
    instance = partition.instances[name]
    stream = stream_of(state, partition, "tokens", name, sample, settings)
    if stream is None:
        return
    if stream.time_ns and time_ns <= stream.time_ns:
        state.count("repeated")
        return
    tokens_before, calls_before = stream.sum_ns, stream.count
    is_reset = sample.start_ns != stream.start_ns or sample.count < calls_before or sample.tokens < tokens_before
    is_usable = bool(stream.time_ns) or is_beginning_known(
        state, instance, instance.metrics_since_ns, start_ns=sample.start_ns, time_ns=time_ns, settings=settings
    )
    if not stream.time_ns or is_reset:
        tokens_before = calls_before = 0
    stream.start_ns, stream.time_ns = sample.start_ns, time_ns
    stream.sum_ns, stream.count = sample.tokens, sample.count
    if not is_usable:
        # what the spans counted lies before this point, of which nothing is counted: it stays
        instance.has_token_metrics = True
        instance.span_tokens = {}
        return
    _trust_metrics(partition, instance)
    tokens, calls = sample.tokens - tokens_before, sample.count - calls_before
    if calls > 0:
        use = TokenUse(0, tokens, 0, calls) if sample.is_output else TokenUse(tokens, 0, calls, 0)
        _count(state, partition, sample.model, use, time_ns, settings)


def _trust_metrics(partition: Partition, instance: Instance) -> None:
    instance.has_token_metrics = True
    for key, use in instance.span_tokens.items():
        counted = partition.tokens.get(key)
        if counted is None:
            continue
        counted.add(use, sign=-1)
        if not counted.calls:
            del partition.tokens[key]
    instance.span_tokens = {}


def _count(
    state: EngineState, partition: Partition, key: ModelKey, use: TokenUse, time_ns: int, settings: EngineSettings
) -> ModelKey:
    """Adds ``use`` and returns the key it was added under."""
    known = partition.tokens.get(key)
    if known is None:
        key = _admit(state, partition, key, settings)
        known = partition.tokens.setdefault(key, TokenUse())
    known.add(use)
    if not partition.tokens_since_ns:
        partition.tokens_since_ns = time_ns
    return key


def _admit(state: EngineState, partition: Partition, key: ModelKey, settings: EngineSettings) -> ModelKey:
    """``key`` while there is room; then the model without its workflow, so that its price is known, or nothing."""
    if sum(OVERFLOW not in (k.model, k.workflow) for k in partition.tokens) < settings.max_models:
        return key
    state.count("models_folded")
    is_known_model = any((k.provider, k.model) == (key.provider, key.model) for k in partition.tokens)
    return ModelKey(key.provider, key.model, OVERFLOW) if is_known_model else ModelKey("", OVERFLOW, OVERFLOW)
