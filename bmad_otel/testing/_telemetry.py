"""Questions to ask about what a test has reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bmad_otel import semconv
from bmad_otel.semconv import Outcome
from bmad_otel.testing._metrics import HistogramValue, MetricPoint, together
from bmad_otel.testing._recording import Recording
from bmad_otel.testing._records import LogEntry, SpanRecord
from bmad_otel.testing._tree import line_of, render, running_lines

_SHORT_NAMES: Final = {
    "agent": semconv.GEN_AI_AGENT_NAME,
    "task": semconv.TASK_NAME,
    "tool": semconv.GEN_AI_TOOL_NAME,
    "workflow": semconv.GEN_AI_WORKFLOW_NAME,
    "operation": semconv.GEN_AI_OPERATION_NAME,
    "outcome": semconv.TASK_OUTCOME,
    "error_type": semconv.ERROR_TYPE,
    "model": semconv.GEN_AI_REQUEST_MODEL,
    "provider": semconv.GEN_AI_PROVIDER_NAME,
    "token_type": semconv.GEN_AI_TOKEN_TYPE,
}
"""Keywords of `Telemetry.value` and `Telemetry.histogram` for the attributes of our own metrics."""

_MAX_LISTED: Final = 30
"""Lines of what there is in a failure: enough to see the mistake, too few to hide it."""


class Telemetry:
    """What the code under test has reported since the test began; it may be asked at any time, also afterwards."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    # Spans ------------------------------------------------------------------------------------------------------------

    @property
    def spans(self) -> list[SpanRecord]:
        """All spans that have ended, in the order they ended, whatever made them."""
        return list(self._recording.spans)

    def tasks(
        self, agent: str | None = None, task: str | None = None, outcome: Outcome | str | None = None
    ) -> list[SpanRecord]:
        """The ended spans of tracked functions that are of this agent, task and outcome, in the order they ended.

        Raises ValueError for an outcome there is none of, since a misspelt one would never be found.
        """
        wanted = None if outcome is None else _outcome(outcome)
        return [
            span
            for span in self.spans
            if span.task is not None
            and agent in (None, span.agent)
            and task in (None, span.task)
            and wanted in (None, span.outcome)
        ]

    def task(
        self, agent: str | None = None, task: str | None = None, outcome: Outcome | str | None = None
    ) -> SpanRecord:
        """The one span that `tasks` finds. Raises AssertionError, naming all there are, when it is not one."""
        found = self.tasks(agent, task, outcome)
        if len(found) == 1:
            return found[0]
        wanted = _shown({"agent": agent, "task": task, "outcome": outcome})
        there = [line_of(span) for span in self.tasks()]
        running = running_lines(self._recording)
        raise AssertionError(
            f"{len(found) or 'no'} tasks{wanted}, expected exactly one; "
            + _listed("tasks that have ended", there)
            + (_listed("\nstill running", running) if running else "")
        )

    def tree(self, *, with_durations: bool = False) -> str:
        """All spans as text, each below the one it ran in, in the order they started; for comparing with a literal.

            invoke_workflow nightly: ok
              invoke_agent Planner (plan): ok
                execute_tool search: error ValueError

        The same calls give the same text in every run. Durations vary unless `bmad_clock` makes them.
        """
        return render(self._recording, with_durations=with_durations)

    # Logs -------------------------------------------------------------------------------------------------------------

    @property
    def logs(self) -> list[LogEntry]:
        """All log records emitted through OpenTelemetry. Python's `logging` arrives only if the program bridges it."""
        return list(self._recording.logs)

    # Metrics ----------------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> dict[str, list[MetricPoint]]:
        """The points of each metric as they stand now, counted from the beginning of the test.

        Raises RuntimeError when the program has set a meter provider that cannot be read.
        """
        return self._recording.points.by_name()

    def value(self, name: str, **attributes: Any) -> int | float:
        """The number a counter or gauge stands at.

        ``attributes`` choose among its points; points of a counter are added up. For our own metrics short names do:
        ``agent``, ``task``, ``tool``, ``workflow``, ``operation``, ``outcome``, ``error_type``, ``model``,
        ``provider``, ``token_type``. Others are given in full: ``**{"cpu.mode": "user"}``.

        Raises AssertionError, naming what there is, when no point matches, or several of a gauge.
        """
        points = self._matching(name, attributes)
        if points[0].kind == "histogram":
            raise AssertionError(f"{name} is a histogram: ask histogram({name!r}) for it")
        if points[0].kind == "gauge" and len(points) > 1:
            raise AssertionError(f"{len(points)} points of the gauge {name}{_shown(attributes)}, expected exactly one; "
                                 + _listed("its points", [_point_line(point) for point in points]))  # fmt: skip
        return _sum(points)  # type: ignore[return-value]  # no histogram is among them

    def histogram(self, name: str, **attributes: Any) -> HistogramValue:
        """What a histogram has recorded, over all points that ``attributes`` choose; see `value` for their names.

        Raises AssertionError, naming what there is, when no point matches.
        """
        points = self._matching(name, attributes)
        if points[0].kind != "histogram":
            raise AssertionError(f"{name} is no histogram: ask value({name!r}) for it")
        return _sum(points)  # type: ignore[return-value]  # histograms only

    def _matching(self, name: str, attributes: dict[str, Any]) -> list[MetricPoint]:
        metrics = self.metrics
        points = metrics.get(name)
        if points is None:
            raise AssertionError(f"no metric {name!r}; " + _listed("metrics with points", sorted(metrics)))
        wanted = {_SHORT_NAMES.get(key, key): value for key, value in attributes.items()}
        found = [p for p in points if all(p.attributes.get(key) == value for key, value in wanted.items())]
        if not found:
            lines = [_point_line(point) for point in points]
            raise AssertionError(f"no point of {name}{_shown(attributes)}; " + _listed("its points", lines))
        return found

    # ------------------------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget what was reported so far, such as by the preparation of the test. Ids go on counting."""
        self._recording.clear()

    def __repr__(self) -> str:
        recording = self._recording
        return (
            f"<Telemetry: {len(recording.spans)} spans, {len(recording.running)} running, {len(recording.logs)} logs>"
        )


def _outcome(outcome: Outcome | str) -> str:
    try:
        return Outcome(outcome).value
    except ValueError:
        known = ", ".join(repr(known.value) for known in Outcome)
        raise ValueError(f"outcome must be one of {known}, not {outcome!r}") from None


def _sum(points: Sequence[MetricPoint]) -> int | float | HistogramValue:
    total = points[0].value
    for point in points[1:]:
        total = together(total, point.value)
    return total


def _shown(wanted: dict[str, Any]) -> str:
    shown = ", ".join(f"{key}={str(value)!r}" for key, value in wanted.items() if value is not None)
    return f" with {shown}" if shown else ""


def _point_line(point: MetricPoint) -> str:
    attributes = ", ".join(f"{key}={value!r}" for key, value in sorted(point.attributes.items()))
    return f"{{{attributes}}} {point.value}"


def _listed(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return f"{title}: none"
    more = [f"... and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return f"{title}:" + "".join(f"\n  {line}" for line in [*lines[:_MAX_LISTED], *more])
