"""What ``--agents MODULE:OBJECT`` and ``--demo`` mean: Python objects of the user's, or of the demo."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import bmad_otel
from bmad_processor.errors import ConfigError, Problem

_OPTION: Final = "--agents"
_DEMO: Final = "examples.demo.workflow_agents"


def load_agents(reference: str) -> Any:
    """The object that ``package.module:OBJECT`` names, or the module when there is no ``:OBJECT``; modules beside where
    the command is run are found. Raises ConfigError."""
    module_name, colon, attribute = reference.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or (colon and not attribute):
        raise _refused(f"{reference!r} is not understood", "package.module:OBJECT")
    # a console script finds installed packages only
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _refused(f"{module_name} cannot be imported: {error}") from error
        raise _refused(f"there is no module {error.name} in {here} or installed") from error
    except Exception as error:  # the module is the user's, and may raise anything
        told = "".join(traceback.format_exception_only(error)).strip()
        raise _refused(f"{module_name} cannot be imported: {told}") from error
    for part in attribute.split(".") if attribute else ():
        if not hasattr(found, part):
            raise _refused(f"{module_name} has no {part!r}")
        found = getattr(found, part)
    if not isinstance(found, Mapping | ModuleType):
        raise _refused(f"{reference} is {type(found).__name__}", "a dict of agents, or a module")
    return found


def demo_agents() -> Any:
    """The agents of ``examples/demo`` by name. Raises ConfigError where there is no source beside the package."""
    root = Path(bmad_otel.__file__).parents[1]
    if not (root / "examples" / "demo" / "workflow_agents.py").is_file():
        problem = "the demo's agents are not part of an installed package"
        expected = (
            f"a source checkout, or the source distribution: pip install -e DIRECTORY; or your own with {_OPTION}"
        )
        raise ConfigError([Problem("--demo", 0, "", problem, expected)])
    if str(root) not in sys.path:
        sys.path.append(str(root))
    return importlib.import_module(_DEMO).AGENTS


def _refused(message: str, expected: str = "") -> ConfigError:
    return ConfigError([Problem(_OPTION, 0, "", message, expected)])
