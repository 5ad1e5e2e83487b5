"""``bmad-otel doctor``: why does no data arrive, and what does tracking cost here?

    sending       from here to the receiver, as the SDK would send: name, port, TLS, an empty OTLP request per signal
    collector     what a collector of ours at the other end says: last data, profiles, refused and dropped, alerts
    overhead      what a tracked call costs with this interpreter on this machine
    environment   installed releases, variables that contradict each other, what waits in the disk spool

Each module answers with findings: ok, warning or problem, and what to do about it. Nothing is changed anywhere: an
empty export request carries no data.
"""

from __future__ import annotations

from .examine import Asked, examine, settings_of
from .finding import Finding, Status
from .show import show, to_json

__all__ = ["Asked", "Finding", "Status", "examine", "settings_of", "show", "to_json"]
