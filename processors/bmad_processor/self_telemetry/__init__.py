"""What the collector says about itself: one table of metrics, and every form they are shown in. No I/O.

`table` names every metric once. `points` maps what parts count (the collector's status) to it, `exposition` prints
points for Prometheus, `otlp` encodes them for a backend, `health` says whether the collector lives and is ready.
"""

from .config import HealthCheckConfig, MetricsLevel, TelemetryConfig
from .exposition import Naming, families_of, scraped
from .health import Health, Trouble
from .otlp import Identity, encode
from .points import Point, points_of
from .table import TABLE, Kind, Metric

__all__ = [
    "TABLE", "Metric", "Kind",
    "Point", "points_of", "Naming", "families_of", "scraped", "Identity", "encode",
    "Health", "Trouble",
    "TelemetryConfig", "MetricsLevel", "HealthCheckConfig",
]  # fmt: skip
