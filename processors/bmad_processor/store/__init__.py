"""Where the collector keeps what it learned and what it said, so that a restart loses neither.

`contract.py` says what a store must do, `sqlite.py` does it, `codec.py` is the JSON form of alerts, events and hints,
`reader.py` looks into the file from any process while a collector writes it; what it answers is `contract.Snapshot`, so
that a question can be put to other places where an engine's state is kept. The configuration is in `config.py`, which
needs an extra; the rest is standard library only.
"""

from __future__ import annotations

from .codec import alert_from_dict, alert_to_dict, event_from_dict, event_to_dict, hint_from_dict, hint_to_dict
from .contract import Commit, Loaded, Reader, Snapshot, Store
from .reader import StoreReader
from .sqlite import SqliteStore, share

__all__ = [
    "SqliteStore", "share", "Store", "Commit", "Loaded",
    "Reader", "Snapshot", "StoreReader",
    "alert_to_dict", "alert_from_dict", "event_to_dict", "event_from_dict", "hint_to_dict", "hint_from_dict",
]  # fmt: skip
