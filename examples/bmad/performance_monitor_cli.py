"""The older monitor's command line by its file's name: ``python3 performance_monitor_cli.py system-summary``.

Put it in the place of the old file; the commands and their options are the same. Needs ``bmad-otel[collector]``.
"""

from bmad_processor.cli import performance_monitor

if __name__ == "__main__":
    performance_monitor()
