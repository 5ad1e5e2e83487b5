"""Changes to other people's modules and classes, remembered so that they can be taken back."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from bmad_otel import _guard

_MISSING: Final = object()

_OF_BMAD: Final = ("bmad", "cli", "integrations")
"""Top-level packages of BMAD."""

CALLBACK: Final = "__bmad_otel_callback__"
"""Attribute of a function that stands for another one: the other one."""


class Patches:
    """What was changed, newest last. ``is_on`` is false after `undo`: wrappers that others have wrapped in turn cannot
    be taken out from below, so they ask."""

    def __init__(self) -> None:
        self.is_on = True
        self._undo: list[Callable[[], None]] = []

    def on_undo(self, action: Callable[[], None]) -> None:
        """Run ``action`` at `undo`."""
        self._undo.append(action)

    def undo(self) -> None:
        """Take all back, the newest first. What somebody else has replaced meanwhile stays as it is."""
        self.is_on = False
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001 - the rest is to be taken back as well
                _guard.contain("taking back a change to BMAD", error)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a module, class or object."""
        earlier = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)

        def undo() -> None:
            if vars(owner).get(name, _MISSING) is value:
                if earlier is _MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, earlier)

        self.on_undo(undo)

    def wrap(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> tuple[Any, Any]:
        """Put what ``make`` returns for the function ``name`` in its place; returns the function and its replacement.

        A coroutine function is replaced by one. Raises KeyError when ``owner`` itself has no such function.
        """
        original = vars(owner)[name]
        instrumented = make(original)
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def replacement(*args: Any, **kwargs: Any) -> Any:
                return await (instrumented if self.is_on else original)(*args, **kwargs)
        else:

            @functools.wraps(original)
            def replacement(*args: Any, **kwargs: Any) -> Any:
                return (instrumented if self.is_on else original)(*args, **kwargs)

        self.set(owner, name, replacement)
        return original, replacement

    def swap_module(self, name: str, module: ModuleType) -> None:
        """Let imports of ``name`` find ``module``, also where the real one was imported before."""
        earlier = sys.modules.get(name)
        sys.modules[name] = module
        parent_name, _, attribute = name.rpartition(".")
        parent = sys.modules.get(parent_name)
        if parent is not None:
            self.set(parent, attribute, module)
        if earlier is not None and earlier is not module:
            self.rebind(_same_names(earlier, module))

        def undo() -> None:
            if sys.modules.get(name) is module:
                if earlier is None:
                    del sys.modules[name]
                    _give_real_names(name, module)
                else:
                    sys.modules[name] = earlier

        self.on_undo(undo)

    def rebind(self, replacements: Mapping[int, tuple[Any, Any]]) -> int:
        """Replace objects wherever a loaded module has bound them to a name, as ``from x import y`` does; returns how
        often. ``replacements``: pairs of object and replacement by the id of the object."""
        count = 0
        for module in list(sys.modules.values()):
            namespace = getattr(module, "__dict__", None)
            if not isinstance(namespace, dict):
                continue
            for name, value in list(namespace.items()):
                pair = replacements.get(id(value))
                if pair is not None and pair[0] is value and not name.startswith("__"):
                    self.set(module, name, pair[1])
                    count += 1
        return count


def _give_real_names(name: str, ours: ModuleType) -> None:
    """Let BMAD's modules that were imported meanwhile, and have bound names of ``ours``, have those of the module
    ``name``, which is imported for it."""
    names = {id(value): key for key, value in vars(ours).items() if key in getattr(ours, "__all__", ())}
    bound = [
        (module, key, names[id(value)])
        for module_name, module in list(sys.modules.items())
        if module_name.partition(".")[0] in _OF_BMAD
        for key, value in list(getattr(module, "__dict__", {}).items())
        if id(value) in names
    ]
    # a path that only BMAD's documentation knows has no module behind it
    if bound and importlib.util.find_spec(name) is not None:
        real = importlib.import_module(name)
        for module, key, real_name in bound:
            if hasattr(real, real_name):
                setattr(module, key, getattr(real, real_name))


def _same_names(earlier: ModuleType, module: ModuleType) -> dict[int, tuple[Any, Any]]:
    """What ``earlier`` itself defines and ``module`` has under the same name."""
    return {
        id(value): (value, getattr(module, name))
        for name, value in vars(earlier).items()
        if getattr(value, "__module__", None) == earlier.__name__ and hasattr(module, name)
    }
