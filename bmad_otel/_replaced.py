"""Methods of other people's classes that we replace, beside others who replace the same ones.

A replacement is taken away where it is the outermost, and otherwise only switched off: nothing can be taken out from
below another one. Where ours is still found below another, putting it in place again switches it on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

Method = Callable[..., Any]

_MARK: Final = "__bmad_otel_replaced__"
"""Attribute of our replacements. `functools.wraps` and proxies hand it up to whoever replaces them in turn: this is how
ours are found below others."""


class Replaced:
    """A method we have replaced. While ``is_on`` is false the replacement has to do as ``call`` does."""

    __slots__ = ("call", "is_on", "original", "replacement")

    def __init__(self, original: Method, make: Callable[[Replaced], Method]) -> None:
        self.is_on = True
        self.original = original
        # by type: proxies claim to be an instance of what they wrap
        self.call = original if type(original) is FunctionType else self._call_bound
        self.replacement = functools.wraps(original)(make(self))
        setattr(self.replacement, _MARK, self)

    def covers_another(self) -> bool:
        """Whether the original is itself somebody's replacement."""
        return hasattr(self.original, "__wrapped__")

    def _call_bound(self, receiver: object, /, *args: Any, **kwargs: Any) -> Any:
        # what other packages put there may have to be bound to know its receiver
        return self.original.__get__(receiver, type(receiver))(*args, **kwargs)


def replace(owner: type, name: str, make: Callable[[Replaced], Method]) -> None:
    """Put what ``make`` returns in place of the method ``name`` that ``owner`` itself defines."""
    method = vars(owner)[name]
    replaced = _found(method)
    if replaced is None:
        setattr(owner, name, Replaced(method, make).replacement)
    else:
        replaced.is_on = True


def restore(owner: type, name: str) -> None:
    """Undo `replace`; does nothing where it was not called."""
    method = vars(owner)[name]
    replaced = _found(method)
    if replaced is not None:
        replaced.is_on = False
        if method is replaced.replacement:
            setattr(owner, name, replaced.original)


def _found(method: Method) -> Replaced | None:
    found = getattr(method, _MARK, None)
    return found if isinstance(found, Replaced) else None
