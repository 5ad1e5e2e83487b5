"""The background service: a collector of this user that commands start, stop and find again.

One state directory (`Home`) has one service. What a service is, is in two files of it: ``service.pid`` says which
process was started, ``service.json`` what it listens on once it does. Both are believed only while that very process
runs, so that files left behind by a crash, or a process that got the number since, deceive nobody.

`otlp_endpoint` is for programs that send; `find` for those that ask.
"""

from __future__ import annotations

from .endpoints import otlp_endpoint
from .home import Home
from .record import Record, find

__all__ = ["Home", "Record", "find", "otlp_endpoint"]
