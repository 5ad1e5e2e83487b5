"""The instruments of the SDK, created from the table of names through the OpenTelemetry API.

They are opened at the first tracked call or by `configure`, whichever comes first. Before the program has providers the
API hands out placeholders which start to report when providers are set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.trace import Tracer

from bmad_otel import _guard, semconv
from bmad_otel._version import __version__
from bmad_otel.semconv import Instrument, Metric, Operation

if TYPE_CHECKING:
    from bmad_otel._state import State

Measure = Callable[[], Iterable[Observation]]


class Instruments:
    """What a tracked call reports to.

    ``closed`` after `shutdown`, ``idle`` while the program has no providers at all: calls then run untracked.
    """

    __slots__ = ("_stand_ins", "closed", "durations", "idle", "tracer")

    def __init__(self, tracer: Tracer, durations: Mapping[Operation, Histogram], *, closed: bool = False) -> None:
        self.tracer = tracer
        self.durations = durations
        self.closed = closed
        self._stand_ins = (trace.get_tracer_provider(), metrics.get_meter_provider())
        self.idle = not closed and all(is_placeholder(provider) for provider in self._stand_ins)

    def wakes_up(self) -> bool:
        """Whether an idle program has got a provider of either kind by now. Asked at each call, so it is quick."""
        if trace.get_tracer_provider() is self._stand_ins[0] and metrics.get_meter_provider() is self._stand_ins[1]:
            return False
        self.providers_changed()
        return True

    def providers_changed(self) -> None:
        """After providers were set: talk to the tracer directly instead of through the API's placeholder.

        The instruments stay: the placeholders have connected themselves, and a second set would count twice.
        """
        self.tracer = open_tracer()
        self.idle = False


def open_instruments(state: State) -> Instruments:
    """Create the tracer and every agent instrument at the global providers."""
    meter = metrics.get_meter(semconv.SCOPE_NAME, __version__)
    histograms = {
        metric: meter.create_histogram(
            metric.name,
            unit=metric.unit,
            description=metric.description,
            explicit_bucket_boundaries_advisory=metric.boundaries,
        )
        for metric in dict.fromkeys(semconv.DURATION_BY_OPERATION.values())
    }
    observe(meter, semconv.TASK_ACTIVE, lambda: _active(state))
    observe(meter, semconv.TASK_OLDEST_AGE, lambda: _oldest_age(state))
    observe(meter, semconv.AGENT_CPU_TIME, lambda: _cpu_time(state))
    durations = {operation: histograms[metric] for operation, metric in semconv.DURATION_BY_OPERATION.items()}
    return Instruments(open_tracer(), durations)


def closed_instruments() -> Instruments:
    """What tracked calls find after `shutdown`."""
    return Instruments(trace.NoOpTracer(), {}, closed=True)


def open_tracer() -> Tracer:
    """The tracer of the global provider: direct when it is set, a placeholder that finds it later when not."""
    return trace.get_tracer(semconv.SCOPE_NAME, __version__)


def is_placeholder(provider: object) -> bool:
    """Whether this is the API's own stand-in for a provider nobody has set.

    The stand-ins have no public name; they are the API's own classes that are not the no-op an application may set.
    """
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics")) and not isinstance(
        provider, trace.NoOpTracerProvider | metrics.NoOpMeterProvider
    )


def observe(meter: Meter, metric: Metric, measure: Measure) -> None:
    """Create the observable instrument of one row of the table; ``measure`` is asked at each collection.

    An error in ``measure`` costs this collection's points of this metric, nothing else.
    """

    def callback(_options: CallbackOptions) -> Iterable[Observation]:
        try:
            return list(measure())
        except Exception as error:  # noqa: BLE001 - psutil and providers raise what they like
            _guard.contain(f"measuring {metric.name}", error)
            return ()

    match metric.instrument:
        case Instrument.COUNTER:
            meter.create_observable_counter(metric.name, [callback], metric.unit, metric.description)
        case Instrument.UP_DOWN_COUNTER:
            meter.create_observable_up_down_counter(metric.name, [callback], metric.unit, metric.description)
        case Instrument.GAUGE:
            meter.create_observable_gauge(metric.name, [callback], metric.unit, metric.description)
        case Instrument.HISTOGRAM:
            raise ValueError(f"{metric.name}: a histogram is recorded, not observed")


def _active(state: State) -> Iterable[Observation]:
    for agent, (count, _) in state.running.by_agent(time.perf_counter_ns(), state.agents.known.copy()).items():
        yield Observation(count, {semconv.GEN_AI_AGENT_NAME: agent})


def _oldest_age(state: State) -> Iterable[Observation]:
    for agent, (_, oldest_ns) in state.running.by_agent(time.perf_counter_ns(), state.agents.known.copy()).items():
        yield Observation(oldest_ns / 1e9, {semconv.GEN_AI_AGENT_NAME: agent})


def _cpu_time(state: State) -> Iterable[Observation]:
    for agent, used_ns in state.cpu.by_agent_ns().items():
        yield Observation(used_ns / 1e9, {semconv.GEN_AI_AGENT_NAME: agent})
