"""What an exporter counts."""

from __future__ import annotations

from typing import Final

from bmad_processor.model import Signal

OUTCOMES: Final = (
    "failed_items_permanent",
    "failed_items_retries_exhausted",
    "failed_items_shutdown",
    "failed_items_damaged",
)
"""Why items were not delivered and never will be: the backend refused them for good; it was away for too long; the
process ended with them in memory; they could not be read back from disk."""

COUNTERS: Final = (
    "sent_requests",
    "sent_items",
    "failed_requests",
    *OUTCOMES,
    "rejected_items_partial_success",
    "refused_requests_queue_full",
    "refused_requests_disk",
    "redelivered_items",
    "recovered_requests",
    "calls",
    "retries",
    *(f"sent_{signal}" for signal in Signal),
    *(f"send_failed_{signal}" for signal in Signal),
    *(f"enqueue_failed_{signal}" for signal in Signal),
)
"""Counters that only grow. ``requests`` are those that were handed in, however many were joined into one of ``calls``.

``sent_<signal>``, ``send_failed_<signal>``: items by outcome. ``enqueue_failed_<signal>``: items for which there was no
room or no disk, so that their sender was told to send them again. ``redelivered_items``: delivered in requests marked
as possible repetitions. ``recovered_requests``: found on disk at the start.

As present values come with them ``queue_requests`` and ``queue_bytes`` (what is being sent included), ``queue_size``
and ``queue_capacity`` in the unit of the configured sizer, and ``in_flight_requests``, the calls under way.
"""
