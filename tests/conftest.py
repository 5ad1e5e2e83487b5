"""Settings for every test."""

import os
import signal

from hypothesis import HealthCheck, settings

# No deadline: a slow machine is not a bug. Under CI the same examples every time, so that a red run is about the
# change; elsewhere new ones, to find what nobody thought of.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Started in the background by a shell, a program inherits that Ctrl-C is ignored, and so would those the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
