"""The monitor of one test, on a clock that moves when it is told to."""

from tests.monitor.conftest import _errors_of_our_own_are_raised, clock, fresh_state, monitor, passing
from tests.sdk.conftest import run_python

__all__ = ["_errors_of_our_own_are_raised", "clock", "fresh_state", "monitor", "passing", "run_python"]
