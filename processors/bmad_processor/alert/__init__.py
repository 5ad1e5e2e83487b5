"""Alert: the lifecycle of every series, and what is announced.

`lifecycle.TRANSITIONS` is the table, `advance` moves one series along it, `alert_of` and `event_of` make the records.
"""

from .advance import advance, unsaid_above
from .lifecycle import TRANSITIONS, Event, Status, move
from .record import alert_of, event_of, fingerprint, reason_for

__all__ = [
    "TRANSITIONS", "Event", "Status",
    "advance", "alert_of", "event_of", "fingerprint", "move", "reason_for", "unsaid_above",
]  # fmt: skip
