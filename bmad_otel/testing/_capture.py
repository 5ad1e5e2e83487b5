"""`capture`: everything that goes through OpenTelemetry between two moments of a process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context

from bmad_otel import _configure
from bmad_otel._guard import RAISE_VARIABLE
from bmad_otel._state import state
from bmad_otel._task import CURRENT

if TYPE_CHECKING:
    from bmad_otel._instruments import Instruments
    from bmad_otel.testing._telemetry import Telemetry


@contextmanager
def capture() -> Iterator[Telemetry]:
    """Collect the spans, metrics and log records of this process until the end, as the fixture `bmad_telemetry` does.

    Providers of the OpenTelemetry SDK that the program has set get a further processor and reader; missing ones are
    set, for the whole process as OpenTelemetry has it, and give ids that count from 1 in each capture.

    Meanwhile errors inside bmad_otel are raised, and OTEL_SDK_DISABLED is true: `bmad_otel.configure` checks its
    arguments and connects to nothing, nor does a process the test starts. What `configure` and `shutdown` do is undone
    at the end. A capture within another one takes everything from it until its end.

    Raises RuntimeError when spans cannot be captured: the program has set a provider that is not of the OpenTelemetry
    SDK or is disabled, or has already ended bmad_otel with `shutdown`.
    """
    # imported here: the SDK is for tests that capture, not for every run of pytest
    from bmad_otel.testing._providers import attached
    from bmad_otel.testing._recording import Recording
    from bmad_otel.testing._telemetry import Telemetry

    recording = Recording()
    with ExitStack() as stack:
        stack.enter_context(attached(recording))
        stack.enter_context(_variable(RAISE_VARIABLE, "1"))
        stack.enter_context(_variable("OTEL_SDK_DISABLED", "true"))
        stack.enter_context(_life_of_its_own())
        stack.enter_context(_root_context())
        instruments = state.open()
        if instruments.rests and not instruments.wakes_up():
            raise RuntimeError(
                "bmad_otel.shutdown() was called in this process, so tracked functions report nothing; call it inside "
                "of a test with bmad_telemetry, where it is undone at the end"
            )
        stack.enter_context(state.afresh())
        stack.enter_context(_recorded(instruments))
        stack.callback(recording.points.fold)  # what is observed is observed before the state is put back
        yield Telemetry(recording)


@contextmanager
def _life_of_its_own() -> Iterator[None]:
    """What the test does with `configure` and `shutdown` neither sees nor changes what was done outside."""
    earlier = _configure._life
    _configure._life = type(earlier)()
    try:
        yield
    finally:
        _configure._life = earlier


@contextmanager
def _recorded(instruments: Instruments) -> Iterator[None]:
    """Durations go to the provider's histograms, where readers see them, also if else they are folded by us."""
    earlier = instruments.folds, instruments.records
    instruments.folds, instruments.records = instruments.is_watched, True
    try:
        yield
    finally:
        instruments.folds, instruments.records = earlier
        instruments.folds |= instruments.is_watched


@contextmanager
def _root_context() -> Iterator[None]:
    """Whatever is current around the test is no parent of what it does, and what it leaves is not current after it."""
    token = otel_context.attach(otel_context.Context())
    task_token = CURRENT.set(None)
    try:
        yield
    finally:
        # where set-up and end run in different contexts there is nothing to take back
        with suppress(ValueError):
            CURRENT.reset(task_token)
            otel_context.detach(token)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    earlier = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if earlier is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = earlier
