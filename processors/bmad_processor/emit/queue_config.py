"""Configuration of sending queues and retries, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, DurationNs, SizeBytes

_MIB: Final = 2**20
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000

Sizer = Literal["requests", "items", "bytes"]
Timeout = Annotated[DurationNs, Field(gt=0)]
Count = Annotated[int, Field(strict=True, ge=1)]

QUEUE_SIZE: Final = 1000
"""Requests in memory: ten seconds of 10,000 spans a second, 100 a request."""

STORED_QUEUE_SIZE: Final = 100_000
"""Requests on disk: a quarter of an hour of the same. Each takes about 300 bytes of memory."""

MAX_BYTES: Final = 64 * _MIB
STORED_MAX_BYTES: Final = 1024 * _MIB

MAX_ELAPSED_NS: Final = 300 * _SECOND


class BatchConfig(Config):
    """Joining of waiting requests of one signal, end to end and without decoding them."""

    flush_timeout: Timeout = 200 * _MILLISECOND
    """A request waits at most this long for others."""
    min_size: Annotated[int, Field(strict=True, ge=0)] = 8192
    """Enough to send at once."""
    max_size: Annotated[int, Field(strict=True, ge=0)] = 0
    """No more than this is joined; 0: up to 3 MiB. A single larger request is sent as it came."""
    sizer: Literal["items", "bytes", "requests"] = "items"
    """What `min_size` and `max_size` count."""

    @model_validator(mode="after")
    def _in_order(self) -> BatchConfig:
        if self.max_size and self.max_size < self.min_size:
            raise PydanticCustomError("value", "max_size is below min_size", {"expected": "max_size >= min_size, or 0"})
        return self


class QueueConfig(Config):
    """What may wait to be sent. When it is full, senders are told to try again later; nothing is dropped."""

    enabled: StrictBool = True
    """There is always a queue; false is refused."""
    sizer: Sizer = "requests"
    """What `queue_size` counts."""
    queue_size: Count | None = None
    """How much may wait, in the unit of `sizer`. By default 1000 requests in memory and 100000 with `storage`, and no
    limit of its own with another `sizer`."""
    max_bytes: Annotated[SizeBytes, Field(gt=0)] | None = None
    """Bytes of request bodies, whatever `sizer` says. By default 64 MiB in memory and 1 GiB with `storage`. A single
    larger request is still taken when nothing else waits."""
    num_consumers: Count = 4
    """Requests sent at the same time, at most. A second one is sent beside the first only when 3 MiB wait or something
    has waited for 50 ms."""
    batch: BatchConfig | None = None
    """Wait for more and send it together. Without it what happens to wait is joined, up to 3 MiB, and what comes alone
    does not wait."""
    storage: str | None = None
    """Id of the `sqlite` extension: what was acknowledged is on disk, in a file beside its database, and survives the
    process. Without it the queue is in memory."""
    fsync: StrictBool = True
    """With `storage`: wait for the disk before acknowledging. Without it what was acknowledged survives the end of the
    process, but the last seconds may be lost with the machine."""
    block_on_overflow: StrictBool = False
    """Not supported; true is refused: a sender is told when to come again instead of being kept waiting."""
    wait_for_result: StrictBool = False
    """Not supported; true is refused: with `storage` an acknowledgement means on disk."""

    @model_validator(mode="after")
    def _supported(self) -> QueueConfig:
        if not self.enabled:
            raise PydanticCustomError("value", "sending_queue cannot be switched off", {"expected": "enabled: true"})
        if self.block_on_overflow:
            raise PydanticCustomError(
                "value", "block_on_overflow is not supported", {"expected": "false: senders are told to try again"}
            )
        if self.wait_for_result:
            raise PydanticCustomError(
                "value", "wait_for_result is not supported", {"expected": "false, and storage for a durable queue"}
            )
        return self

    @property
    def capacity(self) -> int:
        """`queue_size` in the unit of `sizer`, its default put in; with bytes never more than `byte_limit`."""
        if self.queue_size is not None:
            return self.queue_size
        if self.sizer == "requests":
            return QUEUE_SIZE if self.storage is None else STORED_QUEUE_SIZE
        return self.byte_limit  # an item has at least a byte

    @property
    def byte_limit(self) -> int:
        """`max_bytes` with its default put in."""
        if self.max_bytes is not None:
            return self.max_bytes
        return MAX_BYTES if self.storage is None else STORED_MAX_BYTES


class RetryConfig(Config):
    """Exponential backoff with full jitter: each wait is drawn between 0 and the present interval, which grows by half
    each time. It starts again when the backend takes anything, and stays below 1 s within 10 s of that."""

    enabled: StrictBool = True
    """Without it a request that fails once is given up."""
    initial_interval: Timeout = 500 * _MILLISECOND
    """First interval. A backend that says when to come back is obeyed instead, for up to 5 minutes at a time."""
    max_interval: Timeout = 30 * _SECOND
    """The interval grows up to this."""
    max_elapsed_time: DurationNs | None = None
    """A request is given up when it has failed for this long; 0: never. By default 5 minutes in memory, and never with
    `sending_queue::storage`: then senders are refused when the queue is full."""

    def patience_s(self, *, is_stored: bool) -> float:
        """`max_elapsed_time` in seconds with its default put in; 0: for ever."""
        if self.max_elapsed_time is None:
            return 0.0 if is_stored else MAX_ELAPSED_NS / 1e9
        return self.max_elapsed_time / 1e9
