"""How many instances an agent will need: the scaling arithmetic on what its utilisation is expected to be.

The advice of the present and of the time ahead are put to the same rules (`scale`), and the higher need counts: a
forecast may add instances before they are needed, but nothing is taken away because of one. A trend is carried ahead no
further than it was watched, and only when it is significant; otherwise the utilisation is expected to stay as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bmad_processor.model import ScalingAction
from bmad_processor.quantities import render_duration
from bmad_processor.scale import advise, targets_of
from bmad_processor.settings import EngineSettings, Profile
from bmad_processor.state import Partition, Scaling
from bmad_processor.store import Snapshot
from bmad_processor.summary import display
from bmad_processor.trend import Expected, Point, Slope, expect, independent, slope_of

from . import lately
from .trends import HOUR_NS, interval_per_hour

LOOK_BACK_NS: Final = HOUR_NS
"""The trend of the last hour says more about the next minutes than that of the day."""

LOOK_BACK_HORIZONS: Final = 4
"""At least so many times as far back as ahead: a line drawn much further than its points is a guess."""

HIGH_SHARE: Final = 1 / 3
"""``urgency`` is high when the limit is reached within this part of the horizon, medium within the horizon."""

NO_DATA: Final = "no data"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of one metric that the profile scales by."""

    name: str
    target: float
    limit: float
    """Where the scaling rules act: the target and its tolerance."""
    recent: list[Point]
    """The points of the stabilization window; the last is the present value. Empty: no data."""
    since_ns: int
    """Time of the first point that was looked at."""
    slope: Slope | None
    n: int
    expected: Expected | None

    @property
    def value(self) -> float | None:
        return self.recent[-1][1] if self.recent else None

    @property
    def reaches_in_ns(self) -> int | None:
        """When the limit is reached; 0 when it is exceeded now."""
        if self.expected is None or self.value is None:
            return None
        return 0 if self.value >= self.limit else self.expected.reaches_in_ns(self.limit)


def prediction(
    store: Snapshot, partition: Partition, settings: EngineSettings, *, now_ns: int, horizon_ns: int
) -> dict[str, Any]:
    """The advice for the time until ``horizon_ns`` after now, with its evidence.

    ``evidence`` has for each metric of the scaling rules ``value`` (now), ``predicted`` (at the horizon) with ``ci95``
    (None when it is not known), ``threshold`` (the utilisation to hold), ``slope_per_hour`` with ``slope_ci95``, ``n``
    (values of separate windows) and ``reaches_threshold_in_s`` (to where the rules act; None: not on its way).
    """
    profile = settings.profiles.of(partition.key)
    targets = targets_of(profile.scaling) if partition.key.kind == "agent" else {}
    seen = [_look(store, partition, settings, name, targets[name], now_ns, horizon_ns) for name in targets]
    alive_ns = now_ns - settings.instance_timeout_ns
    current = sum(instance.last_seen_ns > alive_ns for instance in partition.instances.values())
    action, desired, reason = ScalingAction.MAINTAIN, current, NO_DATA
    if partition.key.kind != "agent":
        reason = "a host has no instances to scale"
    elif not targets:
        reason = "the profile has no utilisation to hold"
    elif current and any(metric.recent for metric in seen):
        advice = _advise(partition, settings, profile, seen, current, now_ns)
        action, desired = ScalingAction(advice.action), advice.desired
        reason = _reason(advice.reason, seen, horizon_ns)
    return {
        "action": action.value,
        "reason": reason,
        "urgency": _urgency(seen, horizon_ns) if current else "low",
        "current": current,
        "desired": desired,
        "min_instances": profile.scaling.min_instances,
        "max_instances": profile.scaling.max_instances,
        "auto_scaling_enabled": profile.auto_scaling_enabled,
        "horizon_s": horizon_ns / 1e9,
        "evidence": {metric.name: _evidence(metric) for metric in seen},
    }


def _look(
    store: Snapshot,
    partition: Partition,
    settings: EngineSettings,
    name: str,
    target: float,
    now_ns: int,
    horizon_ns: int,
) -> _Seen:
    window_ns = max(LOOK_BACK_NS, LOOK_BACK_HORIZONS * horizon_ns)
    found = lately.points(store, partition, name, settings, now_ns=now_ns, window_ns=window_ns)
    limit = target * (1 + settings.tolerance_ratio)
    if not found or now_ns - found[-1][0] > settings.instance_timeout_ns:
        return _Seen(name, target, limit, [], now_ns, None, 0, None)
    apart = independent(found, settings.window_ns)
    slope = slope_of(apart)
    watched_ns = apart[-1][0] - apart[0][0]
    recent = [point for point in found if point[0] > now_ns - settings.stabilization_ns] or found[-1:]
    carried = slope if watched_ns >= horizon_ns else None
    expected = expect(recent, carried, now_ns=now_ns, ahead_ns=horizon_ns)
    return _Seen(name, target, limit, recent, found[0][0], slope, len(apart), expected)


def _advise(
    partition: Partition, settings: EngineSettings, profile: Profile, seen: list[_Seen], current: int, now_ns: int
) -> Scaling:
    """What the rules say after the stabilization window and, as its last value, the higher of now and expected."""
    scaling = Scaling()
    past: dict[int, dict[str, float]] = {}
    for metric in seen:
        for time_ns, value in metric.recent:
            past.setdefault(time_ns, {})[metric.name] = value
    begin_ns = now_ns - settings.stabilization_ns
    if min(metric.since_ns for metric in seen) <= begin_ns:
        # the rules take nothing away before they have watched for that long; the history has
        scaling.advice.append((begin_ns, current))
    highest = {
        metric.name: max(metric.recent[-1][1], metric.expected.value) for metric in seen if metric.expected is not None
    }
    for at_ns, usage in [*sorted(past.items()), (now_ns, highest)]:
        advise(partition.key, scaling, usage, current=current, rules=profile.scaling, at_ns=at_ns, settings=settings)
    return scaling


def _urgency(seen: list[_Seen], horizon_ns: int) -> str:
    soonest = min((ns for metric in seen if (ns := metric.reaches_in_ns) is not None), default=None)
    if soonest is None or soonest > horizon_ns:
        return "low"
    return "high" if soonest <= horizon_ns * HIGH_SHARE else "medium"


def _reason(advice: str, seen: list[_Seen], horizon_ns: int) -> str:
    rising = [metric.name for metric in seen if metric.expected is not None and metric.expected.per_ns > 0]
    if not rising:
        return f"no rise to be seen, so as now: {advice}"
    return f"{' and '.join(rising)} rising, so at the highest of the next {render_duration(horizon_ns)}: {advice}"


def _evidence(metric: _Seen) -> dict[str, Any]:
    def shown(value: float | None) -> float | None:
        return None if value is None else display(metric.name, value)

    expected, slope = metric.expected, metric.slope
    reaches_ns = metric.reaches_in_ns
    interval = None
    if expected is not None and expected.low is not None and expected.high is not None:
        interval = [shown(max(expected.low, 0.0)), shown(max(expected.high, 0.0))]
    return {
        "value": shown(metric.value),
        "slope_per_hour": None if slope is None else display(metric.name, slope.per_ns * HOUR_NS),
        "slope_ci95": interval_per_hour(metric.name, slope),
        "predicted": None if expected is None else shown(max(expected.value, 0.0)),
        "ci95": interval,
        "threshold": shown(metric.target),
        "reaches_threshold_in_s": None if reaches_ns is None else reaches_ns / 1e9,
        "n": metric.n,
    }
