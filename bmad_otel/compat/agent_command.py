"""The four commands that BMAD's documentation promises under ``python -m bmad.agents.Agent.X.x``.

What such a command line means: the agent is the directory (``AiDeveloper`` of ``bmad.agents.Agent.AiDeveloper.aidev``),
whatever the file in it is called; BMAD's documentation itself names files that do not exist.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from typing import Final

TOPICS: Final = ("performance-optimization", "enhanced-mcp", "tracing", "performance-validation")

_MODULE: Final = re.compile(r"(?:bmad\.)?(?:agents\.)?Agent\.(?P<agent>\w{1,64})(?:\.\w{1,64})?", re.ASCII)


def agent_of(module: str) -> str | None:
    """The agent that a module (``bmad.agents.Agent.X.x``) or its file (``bmad/agents/Agent/X/x.py``) belongs to; None
    when it is neither. Which agent a name means is for the command line to say."""
    match = _MODULE.fullmatch(module.replace("\\", "/").removeprefix("./").removesuffix(".py").replace("/", "."))
    return None if match is None else match["agent"]


def run(module: str, topic: str, options: Sequence[str]) -> None:
    """Runs ``bmad-otel agent NAME TOPIC`` with ``options`` and ends the process with its exit code."""
    agent = agent_of(module)
    if agent is None:
        sys.stderr.write(f"{module} is no agent of BMAD: expected bmad.agents.Agent.NAME.name\n")
        sys.exit(2)
    sys.argv = ["bmad-otel", "agent", agent, topic, *options]
    # By name, at run time: this starts another program of the distribution, the SDK does not use it.
    importlib.import_module("bmad_processor.cli").main()
