"""The command that runs one marked test task through everything: SDK, OTLP, collector."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import typer

from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.errors import ProcessorError, Unanswerable
from bmad_processor.quantities import split_endpoint
from bmad_processor.read_model.model import near
from bmad_processor.settings import HOST_AGENT

from .naming import is_bmad, unknown
from .options import AgentName, AsJson, Endpoint, State
from .output import Output
from .source import Failed, NoData, Source

TASK_NAME: Final = "simulated"
"""`bmad.task.name` of these tasks: whoever looks at spans or alerts can tell them apart."""

DELIVERY_TIMEOUT_S: Final = 5.0
"""A receiver answers in milliseconds; one that is starting or under full load in a few seconds."""

_MAX_DURATION_S: Final = 86_400.0
_BAR_FROM_S: Final = 1.0
_OTLP_VARIABLES: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_PROTOCOLS: Final[dict[str, Literal["grpc", "http/protobuf"]]] = {"/grpc": "grpc", "/http": "http/protobuf"}
"""End of a receiver's name in the collector's status to what it speaks."""
_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - to tell, not to listen on


class Truth(StrEnum):
    TRUE = "true"
    FALSE = "false"


class Undelivered(ProcessorError):
    """The task ran, or could not be started, and no receiver has taken it."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where the task is sent to, as `configure` takes it."""

    endpoint: str
    protocol: Literal["grpc", "http/protobuf"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """One task that ran and was delivered."""

    agent: str
    namespace: str
    task_id: str
    success: bool
    duration_s: float
    trace_id: str
    span_id: str
    endpoint: str
    spans_delivered: int
    metric_points_delivered: int


def simulate_task(
    agent: AgentName,
    duration: Annotated[float, typer.Option(min=0, max=_MAX_DURATION_S, help="Seconds the task takes.")] = 2.0,
    success: Annotated[Truth, typer.Option(case_sensitive=False, help="How the task ends.")] = Truth.TRUE,
    error_type: Annotated[
        str, typer.Option(help="error.type of a task that fails; one of few words, since it is on metrics.")
    ] = "simulated_failure",
    new: Annotated[
        bool, typer.Option("--new", help="The agent has never reported: do not ask for near names.")
    ] = False,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Run a real tracked task of an agent that does nothing but wait, and deliver it.

    Its span and metrics are made by `@track_task` and count like those of any task: thresholds are judged and alerts
    fire. The task is named `simulated`. It goes where OTEL_EXPORTER_OTLP_ENDPOINT says, or to the collector that
    answers at --endpoint. Exit code 1: no receiver has taken it.
    """
    out = Output()
    if not error_type.strip():
        raise typer.BadParameter("a word is needed", param_hint="--error-type")
    source = Source(endpoint, state, lambda _: None)
    name, namespace = _agent_of(agent, source, is_new=new)
    result = run_simulated(
        name, namespace, duration_s=duration, is_success=success is Truth.TRUE, error_type=error_type.strip(),
        receiver=_receiver(endpoint, source),
    )  # fmt: skip
    if as_json:
        out.json(asdict(result))
        return
    out.table(
        ["Task", ""],
        [
            ["Agent", f"{name} ({namespace})" if namespace else name],
            ["Task id", result.task_id],
            ["Trace id", result.trace_id],
            ["Span id", result.span_id],
            ["Duration", f"{result.duration_s:.3f}s"],
            ["Success", str(result.success).lower()],
            ["Delivered", f"{result.spans_delivered} span, {result.metric_points_delivered} metric points"],
            ["To", result.endpoint],
        ],
    )


def _agent_of(agent: str, source: Source, *, is_new: bool) -> tuple[str, str]:
    """Canonical name and namespace. Raises Unanswerable for what looks like a misspelling of a known agent."""
    name = canonical(agent)
    if not agent.strip():
        raise typer.BadParameter("an agent's name is needed", param_hint="AGENT")
    if name == HOST_AGENT:
        raise typer.BadParameter(f"{HOST_AGENT} is the host, which runs no tasks", param_hint="AGENT")
    try:
        summary = source.get(f"agents/{name}")
    except Unanswerable as error:
        misspelt = unknown(agent, error)
    except (NoData, Failed):
        misspelt = unknown(agent)
    else:
        return str(summary["agent_name"]), str(summary["namespace"])
    if is_bmad(agent) or is_new or not (misspelt.suggestions or near(name, CANONICAL)):
        return name, ""
    raise Unanswerable(
        misspelt.status, misspelt.code, f"{misspelt.detail} (--new runs it anyway)", misspelt.suggestions
    )


def _receiver(endpoint: str | None, source: Source) -> Receiver | None:
    """Where to send to; None leaves it to OpenTelemetry's variables. Raises Undelivered when no collector answers."""
    if endpoint is None and any(os.environ.get(name, "").strip() for name in _OTLP_VARIABLES):
        return None
    try:
        endpoints: dict[str, str] = source.get("status")["endpoints"]
    except (Unanswerable, NoData, Failed) as error:
        raise Undelivered(
            "no collector answers; start one with: bmad-otel collector --config FILE, or name a receiver in "
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        ) from error
    for suffix, protocol in _PROTOCOLS.items():
        for name, address in sorted(endpoints.items()):
            if name.endswith(suffix):
                host, port = split_endpoint(address)
                if host in _ANY_ADDRESS:  # it listens everywhere, so also where the API was asked
                    host = "localhost" if endpoint is None else split_endpoint(endpoint)[0]
                return Receiver(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", protocol)
    raise Undelivered("the collector has no OTLP receiver")


def run_simulated(
    agent: str, namespace: str, *, duration_s: float, is_success: bool, error_type: str, receiver: Receiver | None
) -> Simulated:
    """Runs the task in this process and waits for its delivery. Raises Undelivered.

    Configures the SDK of this process, which can be done once; the command ends with the process.
    """
    # imported here: the reading commands need no SDK
    from bmad_otel import configure, diagnostics, force_flush, semconv, track_task

    attributes = {semconv.SERVICE_NAMESPACE: namespace} if namespace else None
    configure(
        service_name="bmad-otel-simulate",
        endpoint=None if receiver is None else receiver.endpoint,
        protocol=None if receiver is None else receiver.protocol,
        resource_attributes=attributes,
        host_metrics=False,
    )
    task_id = f"simulated-{uuid.uuid4()}"
    began_s = time.monotonic()
    with track_task(name=TASK_NAME, agent=agent, task_id=task_id) as task:
        span = task.span.get_span_context()
        _wait(duration_s)
        if not is_success:
            task.fail("told to fail by simulate-task", error_type=error_type)
    took_s = time.monotonic() - began_s
    is_flushed = force_flush(DELIVERY_TIMEOUT_S)
    signals = diagnostics().signals
    traces, metrics = signals.get("traces"), signals.get("metrics")
    wanted = [metrics, traces] if span.trace_flags.sampled else [metrics]
    if not is_flushed or not all(signal is not None and signal.exported and not signal.dropped for signal in wanted):
        raise Undelivered(_why(signals))
    assert metrics is not None
    return Simulated(
        agent=agent,
        namespace=namespace,
        task_id=task_id,
        success=is_success,
        duration_s=round(took_s, 6),
        trace_id=f"{span.trace_id:032x}",
        span_id=f"{span.span_id:016x}",
        endpoint=metrics.endpoint,
        spans_delivered=0 if traces is None else traces.exported,
        metric_points_delivered=metrics.exported,
    )


def _why(signals: Any) -> str:
    if not signals:
        return (
            "the task ran, but nothing is sent: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER is set"
        )
    said = [f"{signal.endpoint}: {signal.last_error}" for signal in signals.values() if signal.last_error]
    where = ", ".join(sorted({signal.endpoint for signal in signals.values()}))
    return f"the task ran, but could not be delivered: {said[0] if said else f'no answer from {where}'}"


def _wait(duration_s: float) -> None:
    """Waiting is the task's work; a bar on standard error when it is long."""
    end_s = time.monotonic() + duration_s
    if duration_s <= _BAR_FROM_S or not sys.stderr.isatty():
        time.sleep(duration_s)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("working", total=duration_s)
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(0.1, left_s))
            progress.update(bar, completed=duration_s - max(0.0, end_s - time.monotonic()))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("simulate-task")(simulate_task)
