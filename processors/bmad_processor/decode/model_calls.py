"""Model calls and their tokens: which spans are some, whose they are, and who counts them.

====================================  ==========================================================================
what                                  where it is said, by the GenAI conventions (old names in brackets)
====================================  ==========================================================================
a model call                          ``gen_ai.operation.name`` is ``chat``, ``text_completion``,
                                      ``generate_content`` or ``embeddings``
its tokens                            ``gen_ai.usage.input_tokens`` and ``.output_tokens``
                                      (``.prompt_tokens``, ``.completion_tokens``); the metric
                                      ``gen_ai.client.token.usage`` by ``gen_ai.token.type``
the model                             ``gen_ai.response.model``: that one is billed; else ``gen_ai.request.model``
the provider                          ``gen_ai.provider.name`` (``gen_ai.system``)
the workflow                          ``gen_ai.workflow.name``
====================================  ==========================================================================

A sender that has the token metric is believed by it alone, for all of its agents: see `TokenSenders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from bmad_otel import semconv
from bmad_processor.agent_names import canonical, clean
from bmad_processor.model import ModelKey, PartitionKey, Source, TokenSample

from . import wire
from .attributes import CACHE_SIZE, key_of
from .resource import Sender

OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})

_RESPONSE_MODEL: Final = "gen_ai.response.model"
_SYSTEM: Final = "gen_ai.system"

MODEL_ATTRIBUTES: Final = (
    _RESPONSE_MODEL, semconv.GEN_AI_REQUEST_MODEL, semconv.GEN_AI_PROVIDER_NAME, _SYSTEM, semconv.GEN_AI_WORKFLOW_NAME,
)  # fmt: skip

_IS_OUTPUT: Final = {"input": False, "prompt": False, "output": True, "completion": True}

_INPUT_KEYS: Final = (semconv.GEN_AI_USAGE_INPUT_TOKENS.encode(), b"gen_ai.usage.prompt_tokens")
_OUTPUT_KEYS: Final = (semconv.GEN_AI_USAGE_OUTPUT_TOKENS.encode(), b"gen_ai.usage.completion_tokens")

MAX_TOKENS: Final = 2**53
"""Of one point: what a double still counts one by one. More is a sender's mistake."""

_MAX_KEYS: Final = 64
"""Agents of one sender whose spans brought tokens; more than a process has without the token metric."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One kind of model call span."""

    agent: str
    """Canonical name; empty when the span names none."""
    model: ModelKey


def understand_call(found: Mapping[str, str]) -> ModelCall | None:
    """Meaning of a span with these attributes, None when it is no model call."""
    if found.get(semconv.GEN_AI_OPERATION_NAME) not in OPERATIONS:
        return None
    return ModelCall(canonical(found.get(semconv.GEN_AI_AGENT_NAME, "")), model_of(found))


def model_of(found: Mapping[str, str]) -> ModelKey:
    """Whose tokens a span or data point with these attributes speaks of."""
    model = found.get(_RESPONSE_MODEL) or found.get(semconv.GEN_AI_REQUEST_MODEL, "")
    provider = found.get(semconv.GEN_AI_PROVIDER_NAME) or found.get(_SYSTEM, "")
    return ModelKey(clean(provider), clean(model), clean(found.get(semconv.GEN_AI_WORKFLOW_NAME, "")))


def is_output_of(found: Mapping[str, str]) -> bool | None:
    """Whether a data point counts output tokens; None when it does not say, or says something else."""
    return _IS_OUTPUT.get(found.get(semconv.GEN_AI_TOKEN_TYPE, ""))


def tokens_of(attributes: Iterable[bytes]) -> tuple[int | None, int | None]:
    """Input and output tokens of a model call span; None where it does not say."""
    tokens: list[int | None] = [None, None]
    for attribute in attributes:
        key = key_of(attribute)
        if not key.startswith(b"gen_ai.usage."):
            continue
        for at, keys in enumerate((_INPUT_KEYS, _OUTPUT_KEYS)):
            if key in keys and tokens[at] is None:
                tokens[at] = _whole(attribute)
    return tokens[0], tokens[1]


def _whole(attribute: bytes) -> int | None:
    try:
        value = wire.KeyValue.FromString(attribute).value
    except DecodeError:
        return None
    kind = value.WhichOneof("value")
    if kind == "int_value":
        number = float(value.int_value)
    elif kind == "double_value":
        number = value.double_value
    else:
        return None
    return round(number) if 0 <= number <= MAX_TOKENS else None


class CallCounts:
    """Tokens of the model calls of one sender in one request."""

    def __init__(self) -> None:
        self._counts: dict[ModelCall, list[int]] = {}
        self._end_ns: dict[ModelCall, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, call: ModelCall, end_ns: int, attributes: Iterable[bytes]) -> bool:
        """Adds one span; whether it told any tokens."""
        input_tokens, output_tokens = tokens_of(attributes)
        if input_tokens is None and output_tokens is None:
            return False
        counts = self._counts.setdefault(call, [0, 0, 0, 0])
        for at, tokens in enumerate((input_tokens, output_tokens)):
            if tokens is not None:
                counts[at] += tokens
                counts[at + 2] += 1
        self._end_ns[call] = max(end_ns, self._end_ns.get(call, 0))
        return True

    def samples(self, sender: Sender) -> list[TokenSample]:
        """One for each agent, model, provider and workflow."""
        return [
            TokenSample(
                agent_key(sender, call.agent), sender.instance, Source.SPAN, self._end_ns[call], call.model, *counts
            )
            for call, counts in self._counts.items()
        ]


def agent_key(sender: Sender, agent: str) -> PartitionKey:
    """The partition of an agent, or of the service when the sender names no agent."""
    return PartitionKey("agent", sender.namespace, agent or sender.service or "unknown")


class TokenSenders:
    """Which senders have the token metric, so that the model call spans of their other agents are not counted beside.

    An instrumentation writes spans without an agent's name while the program reports the same tokens for its agent: two
    partitions, one bill. The engine keeps partitions apart, so what is common to a sender is known here. Bounded:
    emptied when full. After that, or a restart, spans are passed on until the next metric, the engine leaves those of
    agents alone whose metric it remembers, and what was counted by spans for other agents before stays counted.
    """

    def __init__(self) -> None:
        self._has_metric: set[tuple[str, str]] = set()
        self._news: dict[tuple[str, str], None] = {}
        self._by_spans: dict[tuple[str, str], set[PartitionKey]] = {}

    @property
    def n_remembered(self) -> int:
        """Senders something is known about."""
        return len(self._has_metric) + len(self._by_spans)

    def from_spans(self, sender: Sender, samples: list[TokenSample]) -> list[TokenSample]:
        """What counts of the samples of one sender's spans."""
        who = (sender.namespace, sender.instance)
        if not samples or who in self._has_metric:
            return []
        if len(self._by_spans) >= CACHE_SIZE:
            self._by_spans.clear()
        keys = self._by_spans.setdefault(who, set())
        keys.update([sample.key for sample in samples][: _MAX_KEYS - len(keys)])
        return samples

    def from_metric(self, sender: Sender, time_ns: int) -> list[TokenSample]:
        """To be told to the engine, because ``sender`` has the metric: the partitions its spans were counted for."""
        who = (sender.namespace, sender.instance)
        if who not in self._has_metric:
            if len(self._news) >= CACHE_SIZE:  # nobody asks for them
                self._news.clear()
            self._news[who] = None
        return self.told(who, time_ns)

    def told(self, who: tuple[str, str], time_ns: int) -> list[TokenSample]:
        """As `from_metric`, when it was seen elsewhere: namespace and instance of the sender."""
        if who not in self._has_metric and len(self._has_metric) >= CACHE_SIZE:
            self._has_metric.clear()
        self._has_metric.add(who)
        return [
            TokenSample(key, who[1], Source.METRIC, time_ns, ModelKey("", "", ""), 0, 0, 0, 0)
            for key in sorted(self._by_spans.pop(who, ()))
        ]

    def take_news(self) -> list[tuple[str, str]]:
        """Senders whose metric was seen here for the first time since the last call."""
        if not self._news:
            return []
        news, self._news = list(self._news), {}
        return news

    def with_metric(self) -> list[tuple[str, str]]:
        """All senders known to have the metric."""
        return list(self._has_metric)
