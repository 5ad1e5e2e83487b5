"""Window: samples into panes of event time, running totals into differences, late data counted.

Entry: `add` puts a sample into its pane; `closed_until` is the watermark on the pane grid; `drop_before` and
`forget_gone` keep the state bounded; `set_back` follows a clock that was set back.
"""

from .panes import add, closed_until, drop_before, forget_gone
from .set_back import is_set_back, set_back
from .streams import OVERFLOW

__all__ = ["OVERFLOW", "add", "closed_until", "drop_before", "forget_gone", "is_set_back", "set_back"]
