"""Where the collector keeps what it learned and what it said, so that a restart loses neither.

`contract.py` says what a store must do, `sqlite.py` does it, `codec.py` is the JSON form of alerts, events and hints,
`reader.py` looks into the file from any process while a collector writes it.
"""

from __future__ import annotations

from .codec import alert_from_dict, alert_to_dict, event_from_dict, event_to_dict, hint_from_dict, hint_to_dict
from .config import SqliteConfig
from .contract import Commit, Loaded, Store
from .reader import Snapshot, StoreReader
from .sqlite import SqliteStore

__all__ = [
    "SqliteConfig", "SqliteStore", "Store", "Commit", "Loaded",
    "StoreReader", "Snapshot",
    "alert_to_dict", "alert_from_dict", "event_to_dict", "event_from_dict", "hint_to_dict", "hint_from_dict",
]  # fmt: skip
