"""Window: samples into panes of event time, running totals into differences, late data counted.

Entry: `add` puts a sample into its pane; `closed_until` is the watermark on the pane grid; `drop_before` and
`forget_gone` keep the state bounded.
"""

from .panes import OVERFLOW, add, closed_until, drop_before, forget_gone

__all__ = ["OVERFLOW", "add", "closed_until", "drop_before", "forget_gone"]
