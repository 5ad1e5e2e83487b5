"""BMAD's tracer, with the methods its agents call and never had.

    from bmad_otel.compat.tracing import BMADTracer, TracingConfig

    tracer = BMADTracer(TracingConfig(service_name="research"))
    with tracer.start_span("search", attributes={"query": "..."}) as span:
        span.set_attribute("hits", 12)

All spans go to the process's OpenTelemetry providers: those the program has set, or those of `bmad_otel.configure`. A
tracer sets none of its own, so any number of them in one process lose nothing to each other. What a `TracingConfig`
says about exporters, sampling and limits is told once in the log and left to the providers.

Nothing a tracer does raises into the agent: errors inside are told once in the log of ``bmad_otel``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode, format_span_id, format_trace_id

from bmad_otel import _guard, force_flush, semconv, track_task, track_workflow
from bmad_otel._handle import OWNED_PREFIXES
from bmad_otel._instruments import is_placeholder
from bmad_otel._labels import MAX_NAME_LENGTH, AttributeValue
from bmad_otel._tracker import Tracker
from bmad_otel.compat._attributes import span_attributes
from bmad_otel.compat._model_calls import tell_model_call
from bmad_otel.compat._open_spans import OpenSpans
from bmad_otel.compat._tracer_span import TracerSpan
from bmad_otel.compat._tracing_config import AgentSpan, ExporterType, TraceLevel, TracingConfig, config_of

__all__ = [
    "AgentSpan",
    "BMADTracer",
    "ExporterType",
    "TraceLevel",
    "TracerSpan",
    "TracingConfig",
    "get_tracer",
    "initialize_tracing",
    "trace_agent",
    "trace_workflow",
]

_UNNAMED: Final = "unnamed"


class BMADTracer:
    """A tracer as BMAD's agents construct and use it; ``config`` may have any of their four shapes (see `config_of`).

    Methods BMAD's agents call under names of their own, ``setup_<what>_tracing(settings)`` and ``trace_<what>(data)``,
    exist as well: the first says that all is set up, the second tells of ``<what>`` as `add_trace` does.
    """

    def __init__(self, config: object = None, *, service_name: str | None = None) -> None:
        self.config = config_of(config, service_name)
        self._spans = OpenSpans()
        self._traces = 0
        self._tell_of_settings()

    @property
    def tracer_provider(self) -> trace.TracerProvider:
        """The process's tracer provider."""
        return trace.get_tracer_provider()

    @property
    def tracer(self) -> trace.Tracer:
        """OpenTelemetry's tracer, under the name of the configuration's service."""
        return trace.get_tracer(self.config.service_name or _UNNAMED, self.config.service_version)

    # Blocks -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def trace_agent_execution(
        self,
        agent_name: str,
        task_name: str,
        workflow_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Iterator[Span]:
        """A task of an agent, as `track_task` has it: with a duration, an outcome and its share of what runs now."""
        tracker = track_task(name=_name(task_name), agent=_name(agent_name), workflow_id=_id(workflow_id))
        with tracker as handle:
            _describe(handle.span, attributes)
            yield handle.span

    @contextmanager
    def trace_workflow_execution(
        self, workflow_name: str, workflow_id: str, attributes: Mapping[str, Any] | None = None
    ) -> Iterator[Span]:
        """A workflow, as `track_workflow` has it; the tasks inside are parts of its trace."""
        with track_workflow(name=_name(workflow_name), workflow_id=_id(workflow_id)) as handle:
            _describe(handle.span, attributes)
            yield handle.span

    def start_span(
        self,
        name: str,
        level: TraceLevel | Mapping[str, Any] = TraceLevel.DETAILED,
        parent: Span | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> TracerSpan:
        """A span below ``parent``, else below the current one: for ``with``, or to be ended by its user.

        Attributes are also taken in the place of ``level``, where some of BMAD's agents put them.
        """
        found: dict[str, AttributeValue] = {}
        try:
            if isinstance(level, Mapping):
                attributes, level = {**level, **(attributes or {})}, TraceLevel.DETAILED
            found = span_attributes(attributes)
            found["trace.level"] = level.value
        except Exception as error:  # noqa: BLE001 - what agents hand over may be anything
            _guard.contain("starting a span", error)
        return self._start(name, found, parent)

    def create_child_span(
        self, name: str, parent_span: Span | None = None, attributes: Mapping[str, Any] | None = None
    ) -> TracerSpan:
        """A span below ``parent_span``, else below the current one, to be ended by its user."""
        return self._start(name, span_attributes(attributes), parent_span)

    # What is said of spans --------------------------------------------------------------------------------------------

    def add_span_event(
        self,
        span: Span | None,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Tell of something on ``span``, unless the configuration's level is `TraceLevel.BASIC`."""
        if span is not None and self.config.trace_level is not TraceLevel.BASIC:
            _on(span).add_event(name, attributes, timestamp)

    def add_span_attribute(self, span: Span | None, key: str, value: Any) -> None:
        """Put an attribute on ``span``."""
        if span is not None:
            _on(span).set_attribute(key, value)

    def end_span(self, span_id: object, attributes: Mapping[str, Any] | None = None) -> bool:
        """End the span with this id, or the one given; False when there is none that is open."""
        span = self._spans.find(span_id)
        if span is None:
            return False
        if attributes:
            span.set_attributes(attributes)
        span.end()
        return True

    def fail_span(self, span_id: object, error_type: str, message: str = "") -> None:
        """Let the open span with this id end as one that failed."""
        span = self._spans.find(span_id)
        if span is not None:
            span.set_attribute(semconv.ERROR_TYPE, error_type[:MAX_NAME_LENGTH])
            span.set_status(StatusCode.ERROR, message[:1024])

    def record_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, span_id: object | None = None
    ) -> None:
        """Tell of something on the open span with this id, else on the current one."""
        self._span(span_id).add_event(name, attributes)

    def add_attribute(self, key: str, value: Any, span_id: object | None = None) -> None:
        """Put an attribute on the open span with this id, else on the current one."""
        self._span(span_id).set_attribute(key, value)

    def get_trace_id(self) -> str | None:
        """The current trace's id, 32 hexadecimal digits; None outside of any."""
        context = trace.get_current_span().get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else None

    def get_span_id(self) -> str | None:
        """The current span's id, 16 hexadecimal digits; None outside of any."""
        context = trace.get_current_span().get_span_context()
        return format_span_id(context.span_id) if context.is_valid else None

    # What agents tell -------------------------------------------------------------------------------------------------

    def trace_llm_call(
        self,
        provider: str,
        model: str,
        prompt_tokens: int,
        completion_tokens: int,
        status: str = "success",
        error: str | None = None,
    ) -> None:
        """Tell of one call of a model that has ended: a span ``chat <model>`` and the tokens it used."""
        try:
            tell_model_call(
                self.tracer,
                str(provider),
                str(model),
                int(prompt_tokens),
                int(completion_tokens),
                error,
                failed=status == "error",
            )
        except Exception as own_error:  # noqa: BLE001 - the counts are the program's
            _guard.contain("recording a model call", own_error)

    async def initialize(self) -> bool:
        """True: there is nothing to be set up but the process's providers."""
        return True

    async def trace_operation(self, data: Any = None, **further: Any) -> dict[str, Any]:
        """Tell of an operation: ``data`` and ``further`` as one, named by its ``operation`` or ``operation_type``."""
        try:
            given = {**data, **further} if isinstance(data, Mapping) else {"data": data, **further}
            name = given.get("operation") or given.get("operation_type") or given.get("operation_name") or "operation"
            return self._tell(str(name), given)
        except Exception as error:  # noqa: BLE001 - what agents hand over may be anything
            _guard.contain("recording an operation", error)
            return {}

    async def add_trace(self, name: str, data: Any = None) -> dict[str, Any]:
        """Tell of ``name`` with the members of ``data``: an event of the current span, or a span of its own outside of
        any. Returns the ids of trace and span it went to."""
        try:
            return self._tell(str(name), data)
        except Exception as error:  # noqa: BLE001 - what agents hand over may be anything
            _guard.contain("recording a trace", error)
            return {}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("setup_") and name.endswith("_tracing"):
            return self._set_up
        if name.startswith("trace_") and len(name) > len("trace_"):

            async def told(data: Any = None, **further: Any) -> dict[str, Any]:
                given = {**data, **further} if isinstance(data, Mapping) else {"data": data, **further}
                return await self.add_trace(name.removeprefix("trace_"), given)

            return told
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Life -------------------------------------------------------------------------------------------------------------

    def get_tracing_summary(self) -> dict[str, Any]:
        """What this tracer has done so far; ``enabled`` is whether the process has providers that take its spans."""
        return {
            "service_name": self.config.service_name,
            "enabled": not is_placeholder(self.tracer_provider),
            **self._spans.counts(),
            "traces_told": self._traces,
        }

    def export_traces(self) -> bool:
        """Deliver what is waiting; True when all was done. Blocks for some seconds at most."""
        try:
            flush = getattr(self.tracer_provider, "force_flush", None)
            own = force_flush()
            return bool(flush(5000)) if flush is not None else own
        except Exception as error:  # noqa: BLE001 - exporters are other people's code
            _guard.contain("exporting", error)
            return False

    def shutdown(self) -> None:
        """End the spans that are open and deliver them. The process's providers stay: others use them."""
        self._spans.end_all()
        self.export_traces()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _start(self, name: str, attributes: Mapping[str, AttributeValue], parent: Span | None) -> TracerSpan:
        span: Span = trace.INVALID_SPAN
        try:
            context = trace.set_span_in_context(parent) if isinstance(parent, Span) else None
            span = self.tracer.start_span(_name(name), context, attributes=attributes)
        except Exception as error:  # noqa: BLE001 - samplers and processors are other people's code
            _guard.contain("starting a span", error)
        started = TracerSpan(span, _name(name), self._spans.remove)
        if span.get_span_context().is_valid:
            self._spans.add(started)
        return started

    def _span(self, span_id: object | None) -> TracerSpan:
        found = None if span_id is None else self._spans.find(span_id)
        return found or _on(trace.get_current_span())

    def _tell(self, name: str, data: Any) -> dict[str, Any]:
        self._traces += 1
        attributes = span_attributes(data)
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(name, attributes)
        else:
            with self._start(name, attributes, None) as started:
                if isinstance(data, Mapping) and (data.get("error") or data.get("success") is False):
                    started.set_status(StatusCode.ERROR, str(data.get("error") or "")[:MAX_NAME_LENGTH])
            span = started
        context = span.get_span_context()
        return {
            "operation": name,
            "trace_id": format_trace_id(context.trace_id) if context.is_valid else None,
            "span_id": format_span_id(context.span_id) if context.is_valid else None,
        }

    async def _set_up(self, _settings: Any = None, **_further: Any) -> bool:
        return True

    def _tell_of_settings(self) -> None:
        config = self.config
        without_effect = [getattr(exporter, "value", str(exporter)) for exporter in config.exporters]
        if without_effect:
            _guard.warn_once(
                "tracing exporters",
                "bmad_otel: exporters of a TracingConfig (%s) have no effect: spans go to the process's OpenTelemetry "
                "providers; call bmad_otel.configure(endpoint=...) once, or set OTEL_* variables",
                ", ".join(without_effect),
            )
        if config.sample_rate != 1.0:
            _guard.warn_once(
                "tracing sample_rate",
                "bmad_otel: sample_rate of a TracingConfig has no effect; set OTEL_TRACES_SAMPLER and "
                "OTEL_TRACES_SAMPLER_ARG",
            )


class _Process:
    """The tracer that `initialize_tracing` made for this process."""

    tracer: BMADTracer | None = None


_process: Final = _Process()


def initialize_tracing(config: object = None) -> BMADTracer:
    """Make the tracer that `get_tracer` returns."""
    _process.tracer = BMADTracer(config)
    return _process.tracer


def get_tracer() -> BMADTracer | None:
    """The tracer of `initialize_tracing`; None before it was called."""
    return _process.tracer


def trace_agent(agent_name: str, task_name: str, workflow_id: str | None = None) -> Tracker:
    """Make every call of a function a task of ``agent_name``: `track_task` with BMAD's arguments.

    Needs no `initialize_tracing`, and takes functions of any kind: plain, async, generators.
    """
    return track_task(name=_name(task_name), agent=_name(agent_name), workflow_id=_id(workflow_id))


def trace_workflow(workflow_name: str, workflow_id: str | None = None) -> Tracker:
    """Make every call of a function a run of a workflow: `track_workflow` with BMAD's arguments."""
    return track_workflow(name=_name(workflow_name), workflow_id=_id(workflow_id))


def _name(given: object) -> str:
    return str(given).strip()[:MAX_NAME_LENGTH] or _UNNAMED


def _id(given: object) -> str | None:
    return None if given is None else str(given).strip() or None


def _on(span: Span) -> TracerSpan:
    """Somebody else's span with the tolerance of ours."""
    return span if isinstance(span, TracerSpan) else TracerSpan(span, "", lambda _: None)


def _describe(span: Span, attributes: Mapping[str, Any] | None) -> None:
    try:
        given = span_attributes(attributes)
        span.set_attributes({key: value for key, value in given.items() if not key.startswith(OWNED_PREFIXES)})
    except Exception as error:  # noqa: BLE001 - what agents hand over may be anything
        _guard.contain("describing a task", error)
