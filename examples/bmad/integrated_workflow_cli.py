"""The older workflow runner's command line by its file's name: ``python integrated_workflow_cli.py list-workflows``.

Put it in the place of the old file; the commands and their options are the same. Needs ``bmad-otel[collector]``.
"""

from bmad_processor.cli import integrated_workflow

if __name__ == "__main__":
    integrated_workflow()
