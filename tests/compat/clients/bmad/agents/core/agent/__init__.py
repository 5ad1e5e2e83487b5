from bmad.agents.core.agent.agent_performance_monitor import AlertLevel, MetricType, get_performance_monitor

__all__ = ["AlertLevel", "MetricType", "get_performance_monitor"]
