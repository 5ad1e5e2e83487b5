"""What an agent says of itself, made sense of: names, values, units and events in any order it may come.

Agents call `log_metric` and its like in every way: a metric type for a name, a dict for a value or for a unit, a name
of their own among many. Nothing here raises.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, Final

from bmad_otel import _guard, semconv
from bmad_otel._state import state
from bmad_otel._version import __version__
from bmad_otel.monitor._names import canonical
from bmad_otel.monitor._types import MetricType

UNNAMED: Final = "custom"
"""Name of a custom value that was given none."""

UNKNOWN_AGENT: Final = "unknown"

_MAX_NAME_LENGTH: Final = 128
_MAX_UNIT_LENGTH: Final = 64
_MAX_ATTRIBUTES: Final = 32
_MAX_TEXT_LENGTH: Final = 1024
_BY_VALUE: Final = {member.value: member for member in MetricType}


class Sayings:
    """Takes what agents say, counting in ``dropped`` what could not be used, by reason."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        """``no_name``, ``no_number``: a value that is not finite or no number."""

    def of_type(self, agent: object, metric_type: object, value: object, unit: object) -> None:
        """`_record_metric`: a value of a metric type."""
        try:
            if type(metric_type) is MetricType and type(agent) is str and type(value) in (float, int):  # nearly always
                number = _number(value)
                if number is not None and type(unit) is str and metric_type is not MetricType.CUSTOM:
                    state.said.say_reported(_agent_name(agent, depth=3), metric_type._value_, number, unit)
                    return
            if isinstance(agent, MetricType) or hasattr(agent, "value"):
                # the type first: the name comes second
                self.named(agent, metric_type, value, unit, UNKNOWN_AGENT, depth=3)
                return
            self._of_type(_agent_name(agent, depth=3), metric_type, value, unit)
        except Exception as error:  # noqa: BLE001 - the agent goes on whatever happened here
            _guard.contain("recording a metric", error)

    def logged(self, name: object, value: object, unit: object, agent: object) -> None:
        """`log_metric` and `record_metric`: a value under a name."""
        try:
            if type(name) is str and type(value) in (float, int) and type(unit) is str:  # nearly always
                number = _number(value)
                if number is not None and name and len(name) <= _MAX_NAME_LENGTH:
                    state.said.say_custom(_agent_name(agent, depth=3), name, number, unit[:_MAX_UNIT_LENGTH])
                    return
            if not isinstance(name, str) and hasattr(name, "value"):
                self.named(name, value, unit, agent, UNKNOWN_AGENT, depth=3)
                return
            self._logged(_agent_name(agent, depth=3), name, value, unit)
        except Exception as error:  # noqa: BLE001 - as above
            _guard.contain("recording a metric", error)

    def named(
        self, metric_type: object, name: object, value: object, attributes: object, agent: object, *, depth: int
    ) -> None:
        """The order (type, name, value, attributes) of another monitor: the name counts, the type says the unit."""
        member = _member(metric_type)
        if not isinstance(name, str):
            # (type, value, unit): without a name it is a value of that type
            self._of_type(_agent_name(agent, depth=depth + 1), member or metric_type, name, value)
            return
        unit = attributes if isinstance(attributes, str) else ""
        self._value(_agent_name(agent, depth=depth + 1), name, value, unit, is_reported=False)
        if isinstance(attributes, Mapping) and attributes:
            self._event(_agent_name(agent, depth=depth + 1), name, attributes)

    def _of_type(self, agent: str, metric_type: object, value: object, unit: object) -> None:
        member = _member(metric_type)
        if isinstance(value, Mapping):
            self._event(agent, UNNAMED if member is None else member.value, value)
            return
        if member is not None and member is not MetricType.CUSTOM:
            self._value(agent, member.value, value, unit, is_reported=True)
        elif member is MetricType.CUSTOM:
            self._value(agent, UNNAMED, value, unit, is_reported=False)
        else:  # a name, or a member of another module's enum
            self._value(agent, getattr(metric_type, "value", metric_type), value, unit, is_reported=False)

    def _logged(self, agent: str, name: object, value: object, unit: object) -> None:
        text = _text(name, _MAX_NAME_LENGTH)
        if isinstance(value, Mapping):
            self._event(agent, text, value)
        elif isinstance(value, str | bytes | list | tuple | set) or value is None:
            try:
                self._value(agent, text, float(value), unit, is_reported=False)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                self._event(agent, text, {} if value is None else {"value": value})
        else:
            self._value(agent, text, value, unit, is_reported=False)

    def _value(self, agent: str, name: object, value: object, unit: object, *, is_reported: bool) -> None:
        text = _text(name, _MAX_NAME_LENGTH)
        if not text:
            self._drop("no_name")
            return
        number = _number(value)
        if number is None:
            self._drop("no_number")
            return
        shown = unit[:_MAX_UNIT_LENGTH] if isinstance(unit, str) else ""
        say = state.said.say_reported if is_reported else state.said.say_custom
        say(agent, text, number, shown)
        if isinstance(unit, Mapping) and unit:
            self._event(agent, text, unit)

    def _event(self, agent: str, name: str, members: Mapping[Any, Any]) -> None:
        """A count, and a log record for whatever logger provider the program has."""
        if not name:
            self._drop("no_name")
            return
        name = state.said.count_event(agent, name)
        from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

        attributes: dict[str, Any] = {
            _text(key, _MAX_NAME_LENGTH): _scalar(value) for key, value in list(members.items())[:_MAX_ATTRIBUTES]
        }
        attributes |= {semconv.GEN_AI_AGENT_NAME: agent, semconv.EVENT_NAME: name}
        get_logger(semconv.SCOPE_NAME, __version__).emit(
            LogRecord(
                event_name=semconv.EVENT_AGENT,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                attributes=attributes,
            )
        )

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        _guard.warn_once(
            f"saying {reason}",
            "bmad_otel: a value an agent recorded has %s and was dropped; further ones are counted",
            "no name" if reason == "no_name" else "no finite number",
        )


def _agent_name(agent: object, *, depth: int) -> str:
    """The canonical name; for an agent that does not say it, ``self.agent_name`` of the code that called."""
    if type(agent) is str and agent and agent != UNKNOWN_AGENT:
        return _admitted(canonical(agent))
    caller = sys._getframe(depth).f_locals.get("self")
    name = getattr(caller, "agent_name", None)
    return _admitted(canonical(name) if isinstance(name, str) and name else UNKNOWN_AGENT)


def _admitted(agent: str) -> str:
    return agent if agent in state.agents.known else state.agents.admit(agent)


def _member(metric_type: object) -> MetricType | None:
    if isinstance(metric_type, MetricType):
        return metric_type
    value = getattr(metric_type, "value", metric_type)
    return _BY_VALUE.get(value) if isinstance(value, str) else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # also of numpy, Decimal, and text that is a number
    except Exception:  # noqa: BLE001 - the value is the program's, and so is its __float__
        return None
    return number if math.isfinite(number) else None


def _text(value: object, length: int) -> str:
    value = getattr(value, "value", value)
    return (value if isinstance(value, str) else str(value))[:length].strip()


def _scalar(value: object) -> str | bool | int | float:
    return value if isinstance(value, bool | int | float) else str(value)[:_MAX_TEXT_LENGTH]
