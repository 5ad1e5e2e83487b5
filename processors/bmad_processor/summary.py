"""What a person or a program wants to know about one partition, computed from its state alone.

The one source of every summary: JSON API, CLI, export and page print these dictionaries. Keys and units follow the BMAD
performance monitor (``current_metrics``, ``baseline_metrics``, ``recommendations`` ...) with what it lacked beside them.
"""
