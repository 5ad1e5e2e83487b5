"""The metric types of BMAD's two monitors together: each has an enum of its own, of the same name."""

from __future__ import annotations

from enum import Enum


class MetricType(Enum):
    """Members of both; a value is the name of the metric."""

    CPU_USAGE = "cpu_usage"
    MEMORY_USAGE = "memory_usage"
    DISK_IO = "disk_io"
    NETWORK_IO = "network_io"
    RESPONSE_TIME = "response_time"
    THROUGHPUT = "throughput"
    ERROR_RATE = "error_rate"
    SUCCESS_RATE = "success_rate"
    QUEUE_SIZE = "queue_size"
    ACTIVE_TASKS = "active_tasks"
    CUSTOM = "custom"
    CACHE_HIT_RATE = "cache_hit_rate"
    API_CALLS = "api_calls"
    WORKFLOW_DURATION = "workflow_duration"
    AGENT_ACTIVITY = "agent_activity"
