"""The receivers the suite can start, and one that somebody else started.

A target turns a `Wish` into a running `Server` or raises `NotApplicable`.
"""

from .address import AddressTarget
from .base import Child, Security, Server, Target, Wish
from .ours import OursTarget
from .rotel import RotelTarget
from .stock import StockTarget

__all__ = [
    "Target", "Wish", "Security", "Server", "Child",
    "OursTarget", "RotelTarget", "StockTarget", "AddressTarget",
]  # fmt: skip
