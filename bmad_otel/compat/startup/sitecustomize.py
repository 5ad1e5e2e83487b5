"""Run by Python at its start when this directory is in PYTHONPATH (see `bmad_otel.compat.agent_shim`).

Any other ``sitecustomize`` on the path, which this one hides, runs afterwards.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _run_hidden() -> None:
    here = str(Path(__file__).parent)
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if "-m" in sys.orig_argv:
    try:
        from bmad_otel.compat.agent_shim import install
    except ModuleNotFoundError:  # another Python, without bmad-otel, started with the same variable
        pass
    else:
        install()
_run_hidden()
