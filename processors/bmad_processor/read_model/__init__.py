"""Every question a person asks, answered from the store, whether a collector is running or not.

`model.py` has one method per question, `answers.py` gives the API's JSON for a path and its parameters: the web
application and the command line (when it reads the file itself) print the same bytes.
"""

from __future__ import annotations

from .agent import describe
from .answers import answer
from .model import ReadModel, near
from .profiles import all_profiles, one_profile

__all__ = ["ReadModel", "answer", "describe", "near", "all_profiles", "one_profile"]
