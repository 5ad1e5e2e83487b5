"""Metrics of the process, its container and its host, under the names of the semantic conventions.

Every reading is a quick look at counters of the kernel, none waits. `sources` says where facts come from, `process`,
`garbage`, `container` and `system` read them, `cgroup` and `allowance` say what the process may use, `leader` decides
which process reports what all of them share, and `host` puts the instruments on a meter.
"""

from bmad_otel._host.host import HostMetrics, Mode, observe_host
from bmad_otel._host.sources import Probe, Sources

__all__ = ["observe_host", "HostMetrics", "Mode", "Sources", "Probe"]
