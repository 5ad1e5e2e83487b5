"""The instruments of the SDK, created from the table of names through the OpenTelemetry API.

They are opened at the first tracked call or by `configure`, whichever comes first. Before the program has providers the
API hands out placeholders which start to report when providers are set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from threading import get_ident
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.trace import ProxyTracer, Span, SpanKind, Tracer

from bmad_otel import _guard, semconv
from bmad_otel._clock import clock
from bmad_otel._labels import AttributeValue
from bmad_otel._version import __version__
from bmad_otel.semconv import Instrument, Metric

if TYPE_CHECKING:
    from bmad_otel._state import State

StartSpan = Callable[[str, Mapping[str, AttributeValue], int, Context], Span]
"""Name, attributes, start in nanoseconds since the epoch, and context to a span below the context's."""

SetOutcome = Callable[[Span, str], None]

Measure = Callable[[], Iterable[Observation]]

_MAX_LATE: Final = 10_000
"""Records that wait for the next task or collection; as many tasks are seldom dropped unfinished in between."""

_NOWHERE: Final = Context()

_ASK_AGAIN_NS: Final = 100_000
"""How long an idle program's meter provider is taken to be still missing. Asking for it costs as much as all the rest
of an untracked call."""


class Instruments:
    """What a tracked call reports to.

    ``rests`` after `shutdown` and while the program has no providers at all: calls then run untracked. ``folds``: the
    meter provider is ours, or a monitor runs in this process, and histograms are aggregated by us (`_durations`);
    ``records``: values are recorded in those of the meter provider, which one of the program needs. ``is_watched``: a
    monitor in this process wants to know of every task.
    """

    __slots__ = (
        "_ask_at_ns",
        "_closed",
        "_give_tracer",
        "_histograms",
        "_late",
        "_makes_spans",
        "_meter_stand_in",
        "_recording",
        "folds",
        "is_watched",
        "records",
        "rests",
        "set_outcome",
        "start_span",
    )

    start_span: StartSpan
    set_outcome: SetOutcome

    def __init__(self, tracer: Tracer, meter: Meter, *, closed: bool = False) -> None:
        self.talk_to(tracer)
        self._closed = closed
        self._histograms = {
            metric: _histogram(meter, metric)
            for metric in semconv.AGENT_METRICS
            if metric.instrument is Instrument.HISTOGRAM
        }
        self._late: deque[tuple[Metric, float, Mapping[str, AttributeValue]]] = deque()
        self._recording: set[int] = set()
        self._makes_spans = False
        self.folds = self.is_watched = False
        self.records = True
        tracer_provider, self._meter_stand_in = trace.get_tracer_provider(), metrics.get_meter_provider()
        self._give_tracer = tracer_provider.get_tracer
        self._ask_at_ns = 0
        self.rests = closed or (is_placeholder(tracer_provider) and is_placeholder(self._meter_stand_in))

    def record(
        self, metric: Metric, value: float, attributes: Mapping[str, AttributeValue], context: Context | None
    ) -> None:
        """Record in the meter provider's histogram; with None as context at the next occasion.

        That is for what the garbage collector ends, maybe in the middle of the meter provider's own work, with locks
        held by this very thread. So is what a signal handler ends while this thread is here.
        """
        thread = get_ident()
        if context is None or thread in self._recording:
            if len(self._late) >= _MAX_LATE:
                _guard.warn_once(
                    "late", "bmad_otel: more than %d tasks ended at once; some are not in metrics", _MAX_LATE
                )
                return
            self._late.append((metric, value, attributes))
            return
        self._recording.add(thread)
        try:
            self._catch_up()
            self._histograms[metric].record(value, attributes, context)
        finally:
            self._recording.discard(thread)

    def catch_up(self) -> None:
        """Record what is late; called where no lock of the meter provider is held."""
        thread = get_ident()
        if thread not in self._recording:
            self._recording.add(thread)
            try:
                self._catch_up()
            finally:
                self._recording.discard(thread)

    def after_fork_in_child(self) -> None:
        """What is late is the parent's to record."""
        self._late.clear()
        self._recording.clear()

    def _catch_up(self) -> None:
        while self._late:
            metric, value, attributes = self._late.popleft()
            self._histograms[metric].record(value, attributes, _NOWHERE)

    def wakes_up(self) -> bool:
        """Whether an idle program has got a provider of either kind by now. Asked at each call, so it is quick."""
        if self._closed:
            return False
        # The placeholder gives out placeholders for as long as there is no tracer provider.
        if type(self._give_tracer(semconv.SCOPE_NAME)) is ProxyTracer:
            now_ns = perf_counter_ns()
            if now_ns < self._ask_at_ns:
                return False
            self._ask_at_ns = now_ns + _ASK_AGAIN_NS
            if metrics.get_meter_provider() is self._meter_stand_in:
                return False
        self.providers_changed()
        return True

    def providers_changed(self) -> None:
        """After providers were set: talk to the tracer directly instead of through the API's placeholder.

        The instruments stay: the placeholders have connected themselves, and a second set would count twice.
        """
        if not self._makes_spans:
            self.talk_to(open_tracer())
        self.rests = False

    def make_spans_with(self, start_span: StartSpan, set_outcome: SetOutcome) -> None:
        """Have the spans started and ended as a provider of ours allows (see `_spans`)."""
        self._makes_spans = True
        self.start_span, self.set_outcome = start_span, set_outcome

    def fold_durations(self, *, also_record: bool) -> None:
        """Aggregate durations in `_durations`, whose source an exporter of ours asks; ``also_record`` for readers that
        are not ours and know the histograms only."""
        self.folds, self.records = True, also_record

    def watch(self) -> None:
        """Let a monitor in this process see every task, also where no provider does."""
        self.is_watched = True
        if not self._closed:
            self.folds, self.rests = True, False

    def talk_to(self, tracer: Tracer) -> None:
        """Let ``tracer`` start the spans."""

        def start_span(
            name: str, attributes: Mapping[str, AttributeValue], start_unix_ns: int, context: Context
        ) -> Span:
            # by position: a third of the cost of the keywords
            return tracer.start_span(name, context, SpanKind.INTERNAL, attributes, None, start_unix_ns)

        def set_outcome(span: Span, outcome: str) -> None:
            if span.is_recording():
                span.set_attribute(semconv.TASK_OUTCOME, outcome)

        self.start_span, self.set_outcome = start_span, set_outcome


def open_instruments(state: State) -> Instruments:
    """Create the tracer and every agent instrument at the global providers."""
    meter = metrics.get_meter(semconv.SCOPE_NAME, __version__)
    for metric, measure in measures(state).items():
        observe(meter, metric, measure)
    return Instruments(open_tracer(), meter)


def measures(state: State) -> dict[Metric, Measure]:
    """What is observed of the agents in this process, by row of the table."""
    return {
        semconv.TASK_ACTIVE: lambda: _active(state),
        semconv.TASK_OLDEST_AGE: lambda: _oldest_age(state),
        semconv.AGENT_CPU_TIME: lambda: _cpu_time(state),
        semconv.QUEUE_SIZE: lambda: _waiting(state),
        semconv.CUSTOM: lambda: _custom(state),
        semconv.REPORTED: lambda: _reported(state),
        semconv.AGENT_EVENTS: lambda: _events(state),
    }


def closed_instruments() -> Instruments:
    """What tracked calls find after `shutdown`."""
    return Instruments(trace.NoOpTracer(), metrics.NoOpMeter(semconv.SCOPE_NAME), closed=True)


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


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=metric.boundaries,
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
    if state.instruments is not None:
        state.instruments.catch_up()
    for agent, (count, _) in state.running.by_agent(clock.monotonic_ns(), state.agents.known.copy()).items():
        yield Observation(count, {semconv.GEN_AI_AGENT_NAME: agent})


def _oldest_age(state: State) -> Iterable[Observation]:
    for agent, (_, oldest_ns) in state.running.by_agent(clock.monotonic_ns(), state.agents.known.copy()).items():
        yield Observation(oldest_ns / 1e9, {semconv.GEN_AI_AGENT_NAME: agent})


def _cpu_time(state: State) -> Iterable[Observation]:
    for agent, used_ns in state.cpu.by_agent_ns().items():
        yield Observation(used_ns / 1e9, {semconv.GEN_AI_AGENT_NAME: agent})


def _waiting(state: State) -> Iterable[Observation]:
    for agent, size in state.queues.by_agent().items():
        yield Observation(size, {semconv.GEN_AI_AGENT_NAME: agent})


def _custom(state: State) -> Iterable[Observation]:
    return state.said.custom()


def _reported(state: State) -> Iterable[Observation]:
    return state.said.reported()


def _events(state: State) -> Iterable[Observation]:
    return state.said.events()
