"""One minute of bmad-otel: a collector, agents that really work, and what the collector says about them.

``python -m examples.demo`` (or ``make demo``) reads top to bottom in `phases` (what happens when), `conductor` (which
makes it happen), `work` (what the agents do) and `view` (what is shown).
"""
