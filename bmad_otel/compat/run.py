"""``python -m bmad_otel.compat.run bmad.agents.Agent.AiDeveloper.aideveloper performance-optimization``.

With ``--path`` it prints the directory that makes Python itself take the form without this module:
``PYTHONPATH="$(python -m bmad_otel.compat.run --path)" python -m bmad.agents.Agent.AiDeveloper.aideveloper tracing``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bmad_otel.compat import agent_command


def main() -> None:
    """Runs the command of the arguments; exit code 2 for arguments that are no such command."""
    arguments = sys.argv[1:]
    if arguments == ["--path"]:
        sys.stdout.write(f"{Path(__file__).with_name('startup')}\n")
        return
    if len(arguments) < 2 or arguments[1] not in agent_command.TOPICS:
        sys.stderr.write(
            "usage: python -m bmad_otel.compat.run bmad.agents.Agent.NAME.name "
            f"{{{','.join(agent_command.TOPICS)}}} [OPTIONS]\n"
        )
        sys.exit(2)
    agent_command.run(arguments[0], arguments[1], arguments[2:])


if __name__ == "__main__":
    main()
