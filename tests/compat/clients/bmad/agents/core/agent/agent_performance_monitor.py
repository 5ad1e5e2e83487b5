"""A monitor that is to be replaced."""

from enum import Enum


class MetricType(Enum):
    SUCCESS_RATE = "success_rate"


class AlertLevel(Enum):
    WARNING = "warning"


class PerformanceMonitor:
    alerts = ()


_monitor = PerformanceMonitor()


def get_performance_monitor():
    return _monitor
