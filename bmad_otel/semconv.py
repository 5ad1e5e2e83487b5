"""Every span name, attribute and metric that bmad-otel writes or reads, named once.

The SDK creates its instruments from this table, the processor reads it to understand what arrives, and the reference
page is generated from it. GenAI names follow open-telemetry/semantic-conventions-genai as of November 2026 (all of it
at stability *development*), system and process names follow semantic-conventions v1.44, `error.type` is stable. What no
convention covers lives under ``bmad.``.

Units are UCUM. Ratios have unit ``1`` and lie in 0..1; percent exists only where a person reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCOPE_NAME: Final = "bmad_otel"
"""Instrumentation scope of everything the SDK emits."""

PROCESSOR_SCOPE_NAME: Final = "bmad_processor"
"""Instrumentation scope of the events and gauges the processor emits."""


class Operation(StrEnum):
    """Values of ``gen_ai.operation.name`` that `track_task` can give a span."""

    INVOKE_AGENT = "invoke_agent"
    EXECUTE_TOOL = "execute_tool"
    INVOKE_WORKFLOW = "invoke_workflow"
    PLAN = "plan"


class Outcome(StrEnum):
    """Values of ``bmad.task.outcome``: how a tracked call ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    CLOSED_EARLY = "closed_early"


# Attributes ---------------------------------------------------------------------------------------------------------

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_WORKFLOW_NAME: Final = "gen_ai.workflow.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - the name of an attribute
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

TASK_NAME: Final = "bmad.task.name"
TASK_ID: Final = "bmad.task.id"
WORKFLOW_ID: Final = "bmad.workflow.id"
TASK_OUTCOME: Final = "bmad.task.outcome"
TASK_ARGUMENTS: Final = "bmad.task.arguments"
TASK_RESULT: Final = "bmad.task.result"
METRIC_NAME: Final = "bmad.metric.name"
METRIC_UNIT: Final = "bmad.metric.unit"
EVENT_NAME: Final = "bmad.event.name"

SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
HOST_ID: Final = "host.id"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"

CPU_MODE: Final = "cpu.mode"
MEMORY_STATE: Final = "system.memory.state"
DISK_IO_DIRECTION: Final = "disk.io.direction"
NETWORK_IO_DIRECTION: Final = "network.io.direction"
CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
PAGING_FAULT_TYPE: Final = "system.paging.fault.type"
PAGING_STATE: Final = "system.paging.state"
FILESYSTEM_STATE: Final = "system.filesystem.state"
FILESYSTEM_MOUNTPOINT: Final = "system.filesystem.mountpoint"
GC_GENERATION: Final = "cpython.gc.generation"

# Attributes of what the processor emits -----------------------------------------------------------------------------

METRIC_TYPE: Final = "bmad.metric.type"
ALERT_ID: Final = "bmad.alert.id"
ALERT_EVENT_ID: Final = "bmad.alert.event_id"
ALERT_FINGERPRINT: Final = "bmad.alert.fingerprint"
ALERT_LEVEL: Final = "bmad.alert.level"
ALERT_VALUE: Final = "bmad.alert.value"
ALERT_THRESHOLD: Final = "bmad.alert.threshold"
ALERT_BASELINE: Final = "bmad.alert.baseline"
ALERT_REASON: Final = "bmad.alert.reason"
ALERT_EXEMPLAR_TRACE_IDS: Final = "bmad.alert.exemplar_trace_ids"
SCALING_ACTION: Final = "bmad.scaling.action"
SCALING_CURRENT: Final = "bmad.scaling.current_instances"
SCALING_DESIRED: Final = "bmad.scaling.desired_instances"
SCALING_REASON: Final = "bmad.scaling.reason"

# Names of log events (LogRecord.event_name) -------------------------------------------------------------------------

EVENT_ALERT_FIRED: Final = "bmad.alert.fired"
EVENT_ALERT_ESCALATED: Final = "bmad.alert.escalated"
EVENT_ALERT_RESOLVED: Final = "bmad.alert.resolved"
EVENT_SCALING_CHANGED: Final = "bmad.scaling.changed"
EVENT_AGENT: Final = "bmad.agent.event"


# Metrics ------------------------------------------------------------------------------------------------------------


class Instrument(StrEnum):
    """OpenTelemetry instrument kinds used in the table."""

    HISTOGRAM = "histogram"
    COUNTER = "counter"
    UP_DOWN_COUNTER = "up_down_counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table.

    ``boundaries`` is the explicit bucket advice of the convention, for histograms only; the SDK records exponential
    histograms unless the user set a view, and passes the advice on for everybody else.
    """

    name: str
    instrument: Instrument
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()


_AGENT_BOUNDARIES = tuple(0.1 * 2**i for i in range(13))
_TOOL_BOUNDARIES = tuple(0.01 * 2**i for i in range(14))
_WORKFLOW_BOUNDARIES = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
_COUNT_BOUNDARIES = tuple(float(2**i) for i in range(8))
_TOKEN_BOUNDARIES = tuple(float(4**i) for i in range(14))
_LAG_BOUNDARIES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INVOKE_AGENT_DURATION: Final = Metric(
    "gen_ai.invoke_agent.duration", Instrument.HISTOGRAM, "s", "Duration of one agent task.",
    (GEN_AI_OPERATION_NAME, GEN_AI_AGENT_NAME, TASK_NAME, TASK_OUTCOME, ERROR_TYPE), _AGENT_BOUNDARIES,
)  # fmt: skip
EXECUTE_TOOL_DURATION: Final = Metric(
    "gen_ai.execute_tool.duration", Instrument.HISTOGRAM, "s", "Duration of one tool execution.",
    (GEN_AI_OPERATION_NAME, GEN_AI_TOOL_NAME, GEN_AI_AGENT_NAME, TASK_OUTCOME, ERROR_TYPE), _TOOL_BOUNDARIES,
)  # fmt: skip
INVOKE_WORKFLOW_DURATION: Final = Metric(
    "gen_ai.invoke_workflow.duration", Instrument.HISTOGRAM, "s", "Duration of one workflow.",
    (GEN_AI_OPERATION_NAME, GEN_AI_WORKFLOW_NAME, TASK_OUTCOME, ERROR_TYPE), _WORKFLOW_BOUNDARIES,
)  # fmt: skip

INFERENCE_CALLS: Final = Metric(
    "gen_ai.invoke_agent.inference_calls", Instrument.HISTOGRAM, "{inference_call}",
    "Model calls of one agent task, of those whose task reported usage.", (GEN_AI_AGENT_NAME,), _COUNT_BOUNDARIES,
)  # fmt: skip
TOOL_CALLS: Final = Metric(
    "gen_ai.invoke_agent.tool_calls", Instrument.HISTOGRAM, "{tool_call}",
    "Tools executed by one agent task, of those that executed any.", (GEN_AI_AGENT_NAME,), _COUNT_BOUNDARIES,
)  # fmt: skip
TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage", Instrument.HISTOGRAM, "{token}", "Tokens used by one model call.",
    (
        GEN_AI_OPERATION_NAME, GEN_AI_PROVIDER_NAME, GEN_AI_REQUEST_MODEL, GEN_AI_TOKEN_TYPE, GEN_AI_AGENT_NAME,
        GEN_AI_WORKFLOW_NAME,
    ),
    _TOKEN_BOUNDARIES,
)  # fmt: skip
EVENT_LOOP_LAG: Final = Metric(
    "bmad.agent.event_loop.lag", Instrument.HISTOGRAM, "s",
    "How long one step of the agent's tasks kept the event loop from running anything else; steps of 50 ms and more.",
    (GEN_AI_AGENT_NAME,), _LAG_BOUNDARIES,
)  # fmt: skip

TASK_ACTIVE: Final = Metric(
    "bmad.agent.task.active", Instrument.UP_DOWN_COUNTER, "{task}", "Tasks of the agent running now.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip
TASK_OLDEST_AGE: Final = Metric(
    "bmad.agent.task.oldest_age", Instrument.GAUGE, "s", "Age of the oldest running task of the agent.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip
QUEUE_SIZE: Final = Metric(
    "bmad.agent.queue.size", Instrument.UP_DOWN_COUNTER, "{task}", "Tasks waiting for the agent.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip
CUSTOM: Final = Metric(
    "bmad.agent.custom", Instrument.GAUGE, "1",
    "A value of the program's own, by its name; judged like any other where a profile has thresholds for it.",
    (GEN_AI_AGENT_NAME, METRIC_NAME, METRIC_UNIT),
)  # fmt: skip
REPORTED: Final = Metric(
    "bmad.agent.reported", Instrument.GAUGE, "1",
    "What an agent says of itself under the name of a metric that is measured: shown beside it, never judged.",
    (GEN_AI_AGENT_NAME, METRIC_NAME, METRIC_UNIT),
)  # fmt: skip
AGENT_EVENTS: Final = Metric(
    "bmad.agent.events", Instrument.COUNTER, "{event}", "Events the agent has told of, by their name.",
    (GEN_AI_AGENT_NAME, EVENT_NAME),
)  # fmt: skip
AGENT_CPU_TIME: Final = Metric(
    "bmad.agent.cpu.time", Instrument.COUNTER, "s",
    "CPU time used by the agent's own tasks, without the tasks of other agents nested in them.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip

PROCESS_CPU_TIME: Final = Metric("process.cpu.time", Instrument.COUNTER, "s", "CPU time of the process.", (CPU_MODE,))
PROCESS_CPU_UTILIZATION: Final = Metric(
    "process.cpu.utilization", Instrument.GAUGE, "1",
    "CPU time of the process since the last reading, divided by the elapsed time and the CPUs it may use, by its CPU "
    "set and the limits of its control groups.", (CPU_MODE,),
)  # fmt: skip
PROCESS_MEMORY_USAGE: Final = Metric(
    "process.memory.usage", Instrument.UP_DOWN_COUNTER, "By", "Resident memory of the process."
)
PROCESS_MEMORY_VIRTUAL: Final = Metric(
    "process.memory.virtual", Instrument.UP_DOWN_COUNTER, "By", "Virtual memory of the process."
)
PROCESS_MEMORY_UTILIZATION: Final = Metric(
    "process.memory.utilization", Instrument.GAUGE, "1",
    "Resident memory of the process, as a share of what it may use: the machine's, or the limit of its control groups.",
)  # fmt: skip
PROCESS_DISK_IO: Final = Metric(
    "process.disk.io", Instrument.COUNTER, "By", "Bytes the process read from and wrote to disks.", (DISK_IO_DIRECTION,)
)
PROCESS_THREAD_COUNT: Final = Metric(
    "process.thread.count", Instrument.UP_DOWN_COUNTER, "{thread}", "Threads of the process."
)
PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count", Instrument.UP_DOWN_COUNTER, "{file_descriptor}",
    "Open file descriptors of the process.",
)  # fmt: skip
PROCESS_WINDOWS_HANDLE_COUNT: Final = Metric(
    "process.windows.handle.count", Instrument.UP_DOWN_COUNTER, "{handle}", "Open handles of the process; Windows only."
)
PROCESS_CONTEXT_SWITCHES: Final = Metric(
    "process.context_switches", Instrument.COUNTER, "{context_switch}",
    "Times a thread of the process gave up or was taken off its CPU.", (CONTEXT_SWITCH_TYPE,),
)  # fmt: skip
PROCESS_PAGING_FAULTS: Final = Metric(
    "process.paging.faults", Instrument.COUNTER, "{fault}",
    "Page faults of the process: major ones had to wait for a disk.", (PAGING_FAULT_TYPE,),
)  # fmt: skip
PROCESS_UPTIME: Final = Metric("process.uptime", Instrument.GAUGE, "s", "Time since the process started.")

CPYTHON_GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections", Instrument.COUNTER, "{collection}", "Collections of a generation by Python's collector.",
    (GC_GENERATION,),
)  # fmt: skip
CPYTHON_GC_COLLECTED_OBJECTS: Final = Metric(
    "cpython.gc.collected_objects", Instrument.COUNTER, "{object}", "Objects collected inside a generation.",
    (GC_GENERATION,),
)  # fmt: skip
CPYTHON_GC_UNCOLLECTABLE_OBJECTS: Final = Metric(
    "cpython.gc.uncollectable_objects", Instrument.COUNTER, "{object}",
    "Objects inside a generation that were found to be uncollectable.", (GC_GENERATION,),
)  # fmt: skip

CONTAINER_CPU_TIME: Final = Metric(
    "container.cpu.time", Instrument.COUNTER, "s", "CPU time of all processes of the container.", (CPU_MODE,)
)
CONTAINER_MEMORY_USAGE: Final = Metric(
    "container.memory.usage", Instrument.UP_DOWN_COUNTER, "By",
    "Memory of all processes of the container, with the file pages they have cached.",
)  # fmt: skip
CONTAINER_MEMORY_AVAILABLE: Final = Metric(
    "container.memory.available", Instrument.UP_DOWN_COUNTER, "By",
    "The container's memory limit less its working set; none if there is no limit.",
)  # fmt: skip

SYSTEM_CPU_TIME: Final = Metric(
    "system.cpu.time", Instrument.COUNTER, "s", "CPU time of the host, all CPUs together.", (CPU_MODE,)
)
SYSTEM_CPU_UTILIZATION: Final = Metric(
    "system.cpu.utilization", Instrument.GAUGE, "1",
    "Share of the CPU time since the last reading, all CPUs together.", (CPU_MODE,),
)  # fmt: skip
SYSTEM_CPU_LOGICAL_COUNT: Final = Metric(
    "system.cpu.logical.count", Instrument.UP_DOWN_COUNTER, "{cpu}", "Logical CPUs of the host."
)
SYSTEM_MEMORY_USAGE: Final = Metric(
    "system.memory.usage", Instrument.UP_DOWN_COUNTER, "By",
    "Memory of the host. Used is what is not available to further programs; the other states overlap with it.",
    (MEMORY_STATE,),
)  # fmt: skip
SYSTEM_MEMORY_LIMIT: Final = Metric("system.memory.limit", Instrument.UP_DOWN_COUNTER, "By", "Memory the host has.")
SYSTEM_MEMORY_UTILIZATION: Final = Metric(
    "system.memory.utilization", Instrument.GAUGE, "1", "Share of the host's memory.", (MEMORY_STATE,)
)
SYSTEM_MEMORY_LINUX_AVAILABLE: Final = Metric(
    "system.memory.linux.available", Instrument.UP_DOWN_COUNTER, "By",
    "The kernel's estimate of what further programs could get without swapping; Linux only.",
)  # fmt: skip
SYSTEM_PAGING_USAGE: Final = Metric(
    "system.paging.usage", Instrument.UP_DOWN_COUNTER, "By", "Swap space of the host.", (PAGING_STATE,)
)
SYSTEM_PAGING_UTILIZATION: Final = Metric(
    "system.paging.utilization",
    Instrument.GAUGE,
    "1",
    "Share of the host's swap space, if it has any.",
    (PAGING_STATE,),
)
SYSTEM_DISK_IO: Final = Metric(
    "system.disk.io", Instrument.COUNTER, "By", "Bytes read from and written to disks.", (DISK_IO_DIRECTION,)
)
SYSTEM_FILESYSTEM_USAGE: Final = Metric(
    "system.filesystem.usage", Instrument.UP_DOWN_COUNTER, "By", "Space of the root file system.",
    (FILESYSTEM_STATE, FILESYSTEM_MOUNTPOINT),
)  # fmt: skip
SYSTEM_FILESYSTEM_UTILIZATION: Final = Metric(
    "system.filesystem.utilization", Instrument.GAUGE, "1", "Share of the root file system's space.",
    (FILESYSTEM_STATE, FILESYSTEM_MOUNTPOINT),
)  # fmt: skip
SYSTEM_NETWORK_IO: Final = Metric(
    "system.network.io", Instrument.COUNTER, "By",
    "Bytes received and transmitted, without the loopback interface.", (NETWORK_IO_DIRECTION,),
)  # fmt: skip
SYSTEM_UPTIME: Final = Metric("system.uptime", Instrument.GAUGE, "s", "Time since the host started.")

DURATION_BY_OPERATION: Final = {
    Operation.INVOKE_AGENT: INVOKE_AGENT_DURATION,
    Operation.PLAN: INVOKE_AGENT_DURATION,
    Operation.EXECUTE_TOOL: EXECUTE_TOOL_DURATION,
    Operation.INVOKE_WORKFLOW: INVOKE_WORKFLOW_DURATION,
}

AGENT_METRICS: Final = (
    INVOKE_AGENT_DURATION, EXECUTE_TOOL_DURATION, INVOKE_WORKFLOW_DURATION,
    INFERENCE_CALLS, TOOL_CALLS, TOKEN_USAGE,
    TASK_ACTIVE, TASK_OLDEST_AGE, QUEUE_SIZE, AGENT_CPU_TIME, EVENT_LOOP_LAG,
    CUSTOM, REPORTED, AGENT_EVENTS,
)  # fmt: skip
PROCESS_METRICS: Final = (
    PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL, PROCESS_MEMORY_UTILIZATION,
    PROCESS_DISK_IO, PROCESS_THREAD_COUNT, PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, PROCESS_WINDOWS_HANDLE_COUNT,
    PROCESS_CONTEXT_SWITCHES, PROCESS_PAGING_FAULTS, PROCESS_UPTIME,
    CPYTHON_GC_COLLECTIONS, CPYTHON_GC_COLLECTED_OBJECTS, CPYTHON_GC_UNCOLLECTABLE_OBJECTS,
)  # fmt: skip
CONTAINER_METRICS: Final = (CONTAINER_CPU_TIME, CONTAINER_MEMORY_USAGE, CONTAINER_MEMORY_AVAILABLE)
SYSTEM_METRICS: Final = (
    SYSTEM_CPU_TIME, SYSTEM_CPU_UTILIZATION, SYSTEM_CPU_LOGICAL_COUNT,
    SYSTEM_MEMORY_USAGE, SYSTEM_MEMORY_LIMIT, SYSTEM_MEMORY_UTILIZATION, SYSTEM_MEMORY_LINUX_AVAILABLE,
    SYSTEM_PAGING_USAGE, SYSTEM_PAGING_UTILIZATION, SYSTEM_DISK_IO, SYSTEM_FILESYSTEM_USAGE,
    SYSTEM_FILESYSTEM_UTILIZATION, SYSTEM_NETWORK_IO, SYSTEM_UPTIME,
)  # fmt: skip

# What the processor emits: gauges with gen_ai.agent.name (or host.name) and bmad.metric.type ----------------------

ALERT_ACTIVE: Final = Metric(
    "bmad.alert.active", Instrument.GAUGE, "1",
    "Level of the firing alert of this agent and metric type: 0 none, 1 info, 2 warning, 3 critical, 4 emergency.",
    (GEN_AI_AGENT_NAME, HOST_NAME, METRIC_TYPE),
)  # fmt: skip
BASELINE: Final = Metric(
    "bmad.baseline", Instrument.GAUGE, "1",
    "Learned normal value of this agent and metric type, in the unit of the metric type.",
    (GEN_AI_AGENT_NAME, HOST_NAME, METRIC_TYPE),
)  # fmt: skip
CURRENT_INSTANCES: Final = Metric(
    "bmad.scaling.current_instances", Instrument.GAUGE, "{instance}", "Instances of the agent alive now.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip
DESIRED_INSTANCES: Final = Metric(
    "bmad.scaling.desired_instances", Instrument.GAUGE, "{instance}", "Instances the agent needs.",
    (GEN_AI_AGENT_NAME,),
)  # fmt: skip
COST: Final = Metric(
    "bmad.agent.cost", Instrument.GAUGE, "{USD}",
    "What the agent's model calls have cost since it was first heard of, of models with a known price.",
    (GEN_AI_AGENT_NAME, GEN_AI_PROVIDER_NAME, GEN_AI_REQUEST_MODEL),
)  # fmt: skip
PROCESSOR_METRICS: Final = (ALERT_ACTIVE, BASELINE, CURRENT_INSTANCES, DESIRED_INSTANCES, COST)
