"""A second collector of metrics, whose Prometheus text is none."""

from dataclasses import dataclass, field


@dataclass
class Metric:
    name: str
    value: float
    timestamp: float
    labels: dict = field(default_factory=dict)
    metric_type: str = "gauge"


class MetricsCollector:
    def __init__(self):
        self.metrics = {}

    def record_metric(self, name, value, labels=None, metric_type="gauge"):
        self.metrics.setdefault(name, []).append(Metric(name, value, 1.0, labels or {}, metric_type))

    def get_prometheus_format(self):
        return "\n".join(f"{name} {metrics[-1].value}" for name, metrics in self.metrics.items())
