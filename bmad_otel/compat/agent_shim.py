"""Makes ``python -m bmad.agents.Agent.X.x performance-optimization`` work, with BMAD at hand or without.

A finder that stands before all others and knows exactly one module: the one of this process's command line, and only
when what follows is one of the four commands. The module's parents are empty then, so that nothing of BMAD runs, which
would refuse these commands. In every other process nothing is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Final

from bmad_otel.compat.agent_command import TOPICS, agent_of

_SOURCE: Final = """\
import sys
from bmad_otel.compat.agent_command import run
run({module!r}, sys.argv[1], sys.argv[2:])
"""


def install(command_line: Sequence[str] | None = None) -> bool:
    """Installs the finder if ``command_line`` (by default that of this process) asks for it; whether it does."""
    module = wanted(sys.orig_argv if command_line is None else command_line)
    if module is None:
        return False
    sys.meta_path.insert(0, OneCommand(module))
    return True


def wanted(command_line: Sequence[str]) -> str | None:
    """The module of ``python -m MODULE TOPIC ...`` when it is an agent's and the topic one of ours."""
    for at, argument in enumerate(command_line[1:-2], start=1):
        if argument == "-m":
            module, topic = command_line[at + 1], command_line[at + 2]
            is_ours = module.startswith("bmad.") and agent_of(module) is not None and topic in TOPICS
            return module if is_ours else None
        if not argument.startswith("-") and command_line[at - 1] not in ("-X", "-W"):
            return None  # a script: what follows are its own arguments
    return None


class OneCommand(MetaPathFinder, InspectLoader):
    """Finds ``module``, which runs the command, and its parents, which are empty packages."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module and its parents; None for everything else."""
        del path, target
        if fullname == self._module:
            return spec_from_loader(fullname, self, origin=fullname)
        if self._module.startswith(fullname + "."):
            return spec_from_loader(fullname, self, is_package=True)
        return None

    def is_package(self, fullname: str) -> bool:
        """Whether it is one of the parents."""
        return fullname != self._module

    def get_source(self, fullname: str) -> str:
        """What the module does; nothing for its parents."""
        return _SOURCE.format(module=self._module) if fullname == self._module else ""
