"""From YAML files to a checked `CollectorConfig`: read, expand, merge, validate, every problem at once.

`load_config` is the way in. ``yaml_source`` reads one file into a tree that remembers lines, ``expand`` puts
environment variables in, ``merge`` lays several files over each other, ``schema`` and ``agent_performance`` say what
may be written, ``complaints`` says in the user's words what may not, ``wiring`` checks components against pipelines,
and ``profiles`` reads the agents' thresholds and lays them over each other. ``describe`` lists every option for the
reference page.

A profile that is to be changed: ``profile_patch`` reads what is wanted, ``profile_text`` puts it into the text of a
file (``yaml_edit``), and ``profile_files`` judges the result and writes it (``file_edit``). ``shipped`` finds the files
that come with the package.
"""

from __future__ import annotations

from .agent_performance import AgentPerformanceConfig
from .load import load_config
from .profiles import load_profiles
from .schema import ApiConfig, CollectorConfig, Pipeline, ServiceConfig

__all__ = [
    "AgentPerformanceConfig",
    "ApiConfig",
    "CollectorConfig",
    "Pipeline",
    "ServiceConfig",
    "load_config",
    "load_profiles",
]
