"""Export documents as hypothesis strategies: any names, any finite values, in the shape the API gives."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bmad_processor.metric_types import METRIC_TYPES

TIMES = st.integers(min_value=0, max_value=4_102_444_800_000).map(lambda ms: ms / 1000)
VALUES = st.floats(min_value=-1e12, max_value=1e12)
COUNTS = st.integers(min_value=0, max_value=10**9)
NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ['a"b', "a\\", "line\nline", "=cmd|'/c calc'!A1", "@x", "'quoted", "\r", "\ud800", "é \u2028", "team/x", "a\\n"]
)
METRICS = st.sampled_from(sorted(METRIC_TYPES)) | NAMES.map("custom:{}".format)


def unit_of(metric: str) -> str:
    return METRIC_TYPES[metric].display_unit if metric in METRIC_TYPES else ""


@st.composite
def _series(draw: st.DrawFn) -> dict[str, Any]:
    found = {}
    for metric in draw(st.lists(METRICS, max_size=4, unique=True)):
        times = sorted(draw(st.sets(TIMES, max_size=4)))
        found[metric] = {"unit": unit_of(metric), "points": [[t, draw(VALUES), draw(COUNTS)] for t in times]}
    return found


@st.composite
def _summary(draw: st.DrawFn, name: str, namespace: str) -> dict[str, Any]:
    metrics = draw(st.lists(METRICS, max_size=4, unique=True))
    return {
        "agent_name": name,
        "namespace": namespace,
        "current_metrics": {
            m: {
                "value": draw(VALUES), "unit": unit_of(m), "n": draw(COUNTS), "level": None,
                "is_stale": draw(st.booleans()), "as_of": draw(TIMES),
            }
            for m in metrics
        },
        "baseline_metrics": {m: draw(VALUES) for m in metrics},
        "thresholds": {m: {"warning": draw(VALUES), "critical": draw(VALUES)} for m in metrics},
        "self_reported": {draw(NAMES): {"value": draw(VALUES), "unit": draw(NAMES), "n": 1, "as_of": 1.0}},
        "tools": {draw(NAMES): {"calls": 3, "errors": 1, "mean_s": 0.5, "max_s": 1.0}},
        "alerts": [],
        "tasks_total": draw(COUNTS),
        "errors_total": draw(COUNTS),
        "instances": {"count": 1},
        "scaling": {"desired": draw(st.none() | st.integers(1, 5))},
        "last_seen": draw(TIMES),
    }  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document of up to three agents and one host."""
    owners = draw(st.lists(st.tuples(NAMES, NAMES | st.just("")), max_size=3, unique=True))
    labels = {owner: f"{owner[1]}/{owner[0]}" if owner[1] else owner[0] for owner in owners}
    summaries = {label: draw(_summary(*owner)) for owner, label in labels.items()}
    host = draw(NAMES)
    units = {name: unit_of(name) for name in ("cpu_usage", "memory_usage", "disk_io", "network_io")}
    return {
        "timestamp": draw(TIMES),
        "system_summary": {
            "units": units,
            "hosts": {host: {name: draw(st.none() | VALUES) for name in units}},
            "agents_total": len(owners),
            "active_agents": 0,
            "firing_alerts": {"critical": 0, "warning": 1},
            "dropped": {draw(NAMES): draw(COUNTS)},
        },
        "agent_summaries": summaries,
        "recent_alerts": [],
        "hints": [],
        "history": {label: draw(_series()) for label in summaries},
        "host_history": {host: draw(_series())},
        "is_truncated": False,
    }


def replaced(text: str) -> str:
    """What UTF-8 makes of a text with a lone surrogate."""
    return text.encode("utf-8", "replace").decode()
