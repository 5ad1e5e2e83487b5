"""How many instances an agent needs: the arithmetic of the Kubernetes Horizontal Pod Autoscaler.

``ceil(current * value / target)`` per metric, the highest wins, nothing within the tolerance, up at most
``max(2 * current, current + 4)`` at a time, down only to the highest advice of the stabilization window. Missing data
holds the last advice; an instance without data counts as idle before anything goes up. Source: Kubernetes
documentation, "Horizontal Pod Autoscaling", algorithm details.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from bmad_processor.metric_types import CPU_USAGE, MEMORY_USAGE, render
from bmad_processor.model import PartitionKey, ScalingAction, ScalingHint
from bmad_processor.settings import EngineSettings, ScalingRules
from bmad_processor.state import Scaling


def targets_of(rules: ScalingRules) -> dict[str, float]:
    """Metric type to the utilisation to hold."""
    targets = {CPU_USAGE: rules.cpu_threshold, MEMORY_USAGE: rules.memory_threshold}
    return {name: target for name, target in targets.items() if target}


def propose(
    current: int, value: float, target: float, *, tolerance_ratio: float, reporting: int | None = None
) -> int:  # fmt: skip
    """Instances that would bring ``value``, the mean of the ``reporting`` ones (all by default), to ``target``.

    Instances that do not report, such as just started ones, count as idle before anything goes up; going down waits for
    the stabilization window anyway.
    """
    ratio = value / target
    if abs(ratio - 1.0) <= tolerance_ratio:
        return current
    is_up = ratio > 1.0
    counted = min(reporting, current) if is_up and reporting is not None else current
    # the product is rounded so that 2 * 0.75 / 0.75 is 2 and not 3
    needed = ceil(round(counted * ratio, 9))
    return max(needed, current) if is_up else needed


def advise(
    key: PartitionKey,
    scaling: Scaling,
    usage: Mapping[str, float],
    *,
    current: int,
    rules: ScalingRules,
    at_ns: int,
    settings: EngineSettings,
    reporting: Mapping[str, int] | None = None,
) -> ScalingHint | None:
    """One pane end. ``usage`` has the metric types that have data, ``reporting`` how many instances have; empty holds.

    Changes ``scaling`` in place and returns the hint when its advice changed, else None. The first advice is a change
    only when it differs from ``current``.
    """
    targets = targets_of(rules)
    proposals = {
        name: propose(
            current,
            usage[name],
            target,
            tolerance_ratio=settings.tolerance_ratio,
            reporting=None if reporting is None else reporting[name],
        )
        for name, target in targets.items()
        if name in usage
    }
    if not proposals or current < 1:
        return None
    leading = max(proposals, key=lambda name: (proposals[name], usage[name] / targets[name]))
    limit_up = max(2 * current, current + 4)
    proposed = min(max(proposals.values()), limit_up)
    begin_ns = at_ns - settings.stabilization_ns
    if not scaling.advice and not scaling.desired:
        scaling.advice.append((at_ns, current))  # as the HPA does: nothing goes down before it was watched that long
    scaling.advice = [(t, d) for t, d in scaling.advice if t > begin_ns and d > proposed]
    scaling.advice.append((at_ns, proposed))
    stabilized = scaling.advice[0][1]  # sorted by time and falling: the first is the highest
    desired = min(max(stabilized, rules.min_instances), rules.max_instances)
    action = _action(current, desired)
    reason = _reason(leading, usage[leading], targets[leading], current, proposed, stabilized, desired, rules, settings)
    # that the instances now are what was advised is no new advice
    is_change = desired != (scaling.desired or current) or action not in (scaling.action, ScalingAction.MAINTAIN)
    scaling.desired, scaling.current, scaling.action = desired, current, action
    scaling.reason, scaling.time_ns = reason, at_ns
    if not is_change:
        return None
    evidence = {name: usage[name] for name in proposals}
    return ScalingHint(key, at_ns, current, desired, rules.min_instances, rules.max_instances, action, reason, evidence)


def _action(current: int, desired: int) -> ScalingAction:
    if desired > current:
        return ScalingAction.SCALE_UP
    return ScalingAction.SCALE_DOWN if desired < current else ScalingAction.MAINTAIN


def _reason(
    name: str, value: float, target: float, current: int, proposed: int, stabilized: int, desired: int,
    rules: ScalingRules, settings: EngineSettings,
) -> str:  # fmt: skip
    instances = "instance" if current == 1 else "instances"
    text = f"{name} {render(name, value)} of target {render(name, target)} on {current} {instances}: {proposed} needed"
    if stabilized > proposed:
        text += f", held at {stabilized} for {settings.stabilization_ns / 1e9:g} s after the last need"
    if desired < stabilized:
        text += f", limited to max_instances {rules.max_instances}"
    elif desired > stabilized:
        text += f", kept at min_instances {rules.min_instances}"
    return text
