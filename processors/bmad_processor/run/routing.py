"""Which exporters get what, as the pipelines of a configuration say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bmad_processor.config import CollectorConfig
from bmad_processor.config.schema import AGENT_PERFORMANCE, MEMORY_LIMITER, type_of
from bmad_processor.emit.request import Exporter
from bmad_processor.model import Signal

from .pipeline import Route, build_routes


def routes_of(config: CollectorConfig, receiver: str, exporters: Mapping[str, Exporter]) -> dict[Signal, Route]:
    """Signal to what happens to it, for all pipelines of one receiver taken together."""
    return build_routes(
        (pipeline.signal, uses_engine(pipeline.processors), _running(pipeline.exporters, exporters))
        for pipeline in config.pipelines.values()
        if receiver in pipeline.receivers
    )


def exporters_of(config: CollectorConfig, signal: Signal, exporters: Mapping[str, Exporter]) -> list[Exporter]:
    """Where the processor's own events and gauges go.

    The exporters of that signal's pipelines; when there is none, those of the pipelines with the processor.
    """
    pipelines = config.pipelines.values()
    of_signal = [pipeline for pipeline in pipelines if pipeline.signal is signal]
    chosen = of_signal or [pipeline for pipeline in pipelines if uses_engine(pipeline.processors)]
    names = dict.fromkeys(name for pipeline in chosen for name in pipeline.exporters)
    return list(_running(tuple(names), exporters))


def _running(names: Sequence[str], exporters: Mapping[str, Exporter]) -> tuple[Exporter, ...]:
    # all of them run, but after a reload that failed and could not be undone, which has been said
    return tuple(exporters[name] for name in names if name in exporters)


def limited_signals(config: CollectorConfig, receiver: str) -> set[Signal]:
    """Signals of a receiver of which at least one pipeline names the memory limiter."""
    return {
        pipeline.signal
        for pipeline in config.pipelines.values()
        if receiver in pipeline.receivers
        and any(type_of("processors", name) == MEMORY_LIMITER for name in pipeline.processors)
    }


def processors_of(config: CollectorConfig, receiver: str) -> dict[str, list[str]]:
    """Signal to the processors that a receiver's items of it pass, each once."""
    found: dict[str, dict[str, None]] = {}
    for pipeline in config.pipelines.values():
        if receiver in pipeline.receivers:
            found.setdefault(str(pipeline.signal), {}).update(dict.fromkeys(pipeline.processors))
    return {signal: list(names) for signal, names in found.items()}


def uses_engine(processors: Sequence[str]) -> bool:
    """Whether `agent_performance` is among them."""
    return any(type_of("processors", name) == AGENT_PERFORMANCE for name in processors)
