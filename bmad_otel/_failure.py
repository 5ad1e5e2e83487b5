"""How a task ended: the outcome of an exception, its type, and telling of it once.

Sources: semantic conventions, "Recording errors" and "Exceptions in logs"; OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN of the
same pages decides between the older span event and the log record.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import StatusCode

from bmad_otel import semconv
from bmad_otel._version import __version__
from bmad_otel.semconv import Operation, Outcome

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

OPT_IN_VARIABLE: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"

FAILURES: Final = frozenset({Outcome.ERROR, Outcome.TIMEOUT})
"""Outcomes with error status and ``error.type``; the others end a task without being its fault."""

_MAX_MESSAGE_LENGTH: Final = 1024
"""Characters of an exception's message: enough to recognise it, too little to carry a document."""

_MAX_STACKTRACE_LENGTH: Final = 16_384
"""Characters of a stack trace, the innermost ones: the end of it says where and what."""

_MARK: Final = "_bmad_otel_trace_id"
"""Attribute of an exception that was told already, with the trace it was told in: it passes every task around."""


def outcome_of(error: BaseException, outcomes: Mapping[type[BaseException], Outcome]) -> Outcome:
    """What ``outcomes`` says of the exception's class or nearest base class, else the rule of the documentation."""
    if outcomes:
        for kind in type(error).__mro__:
            outcome = outcomes.get(kind)
            if outcome is not None:
                return outcome
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return Outcome.CANCELLED
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return Outcome.CANCELLED  # the program ends in good order and takes the task with it
    return Outcome.ERROR


def type_name(error: BaseException) -> str:
    """``error.type`` of an exception: its class, with the module unless it is built in."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def exception_signals() -> set[str]:
    """What OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN asks for."""
    return {part.strip() for part in os.environ.get(OPT_IN_VARIABLE, "").split(",")}


def record(
    span: Span, operation: Operation, error_type: str, error: BaseException | None, message: str, context: Context
) -> None:
    """Put a failure on a recording span; its exception, if it has one, is told once in a trace."""
    if error is not None:
        message = message_of(error)
    span.set_attribute(semconv.ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR, message[:_MAX_MESSAGE_LENGTH])
    if error is None or _was_told(error, span.get_span_context().trace_id):
        return
    # Made by us instead of Span.record_exception, which neither bounds what it copies nor survives an exception whose
    # __str__ raises.
    attributes = {
        semconv.EXCEPTION_TYPE: error_type,
        semconv.EXCEPTION_MESSAGE: message,
        semconv.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(error))[-_MAX_STACKTRACE_LENGTH:],
    }
    wanted = exception_signals()
    if "logs" not in wanted:
        span.add_event("exception", attributes)
    if wanted & {"logs", "logs/dup"}:
        _log(f"gen_ai.{operation.value}.exception", attributes, context)


def _log(event_name: str, attributes: dict[str, str], context: Context) -> None:
    # Imported here: a program that has not asked for log records does not pay for them.
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

    get_logger(semconv.SCOPE_NAME, __version__).emit(
        LogRecord(
            event_name=event_name,
            severity_number=SeverityNumber.WARN,
            severity_text="WARN",
            attributes=attributes,
            context=context,
        )
    )


def _was_told(error: BaseException, trace_id: int) -> bool:
    try:
        if error.__dict__.get(_MARK) == trace_id:
            return True
        error.__dict__[_MARK] = trace_id
    except Exception:  # noqa: BLE001 - an exception class may do without __dict__ or put its own in its place
        return False
    return False


def message_of(error: BaseException) -> str:
    """The exception's text, cut."""
    try:
        return str(error)[:_MAX_MESSAGE_LENGTH]
    except Exception:  # noqa: BLE001 - the exception is the caller's, and so is its __str__
        return "<no message: __str__ raised>"
