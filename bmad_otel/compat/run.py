"""Running a program of BMAD instrumented, without a line of it changed:

    python -m bmad_otel.compat.run -m bmad.agents.Agent.ProductOwner.product_owner create-story
    python -m bmad_otel.compat.run --mend cli/integrated_workflow_cli.py execute product-development

A module is imported and its ``main`` called, so that its own classes are instrumented, too; one without ``main`` and a
file are run as Python runs them. Where telemetry goes is said by the OTEL_* variables, as `bmad_otel.configure` has it.

With a module and one of the commands about an agent's performance, `bmad-otel agent` answers for that module's agent:

    python -m bmad_otel.compat.run bmad.agents.Agent.AiDeveloper.aideveloper performance-optimization

and ``--path`` prints the directory that makes Python itself take this form:
``PYTHONPATH="$(python -m bmad_otel.compat.run --path)" python -m bmad.agents.Agent.AiDeveloper.aideveloper tracing``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from bmad_otel.compat import agent_command


def main(arguments: Sequence[str] | None = None) -> object:
    """Run what ``arguments`` (else the command line) say; returns what its ``main`` returned."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == ["--path"]:
        sys.stdout.write(f"{Path(__file__).with_name('startup')}\n")
        return None
    if len(words) > 1 and words[1] in agent_command.TOPICS:
        agent_command.run(words[0], words[1], words[2:])
        return None
    parser = argparse.ArgumentParser(
        prog="python -m bmad_otel.compat.run", description="Run a program of BMAD with its agents traced."
    )
    parser.add_argument("--mend", action="store_true", help="add what BMAD's agents call and BMAD does not have")
    parser.add_argument("--service-name", help="service.name; else OTEL_SERVICE_NAME")
    parser.add_argument("-m", dest="is_module", action="store_true", help="PROGRAM is a module's name, not a file")
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("rest", metavar="ARGUMENTS", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    if not given.is_module and not Path(given.program).is_file():
        parser.error(f"there is no file {given.program}")
    # imported here: the commands about an agent need no extra
    from bmad_otel.compat.instrument import instrument_bmad

    instrument_bmad(mend=given.mend, service_name=given.service_name)
    sys.argv = [given.program, *given.rest]
    if not given.is_module:
        sys.path.insert(0, str(Path(given.program).resolve().parent))
        runpy.run_path(given.program, run_name="__main__")
        return None
    try:
        module = importlib.import_module(given.program)
    except ModuleNotFoundError as error:
        if error.name is None or not given.program.startswith(error.name):
            raise
        parser.error(f"there is no module {given.program}")
    run = getattr(module, "main", None)
    if not callable(run):
        runpy.run_module(given.program, run_name="__main__", alter_sys=True)
        return None
    result = run()
    return asyncio.run(result) if inspect.iscoroutine(result) else result


if __name__ == "__main__":
    code = main()
    sys.exit(code if isinstance(code, int) else None)
