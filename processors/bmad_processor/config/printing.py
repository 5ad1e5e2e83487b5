"""A configuration as it is in force: merged, variables and files put in, secrets hidden.

What is printed is a configuration itself; with nothing hidden it means the same as the files it came from.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from ruamel.yaml import YAML

from bmad_processor.fields import REDACTED, Config

from .complaints import check
from .describe import is_secret_at, kind_at, kind_of, render_value
from .hidden import is_secret_place, without_password
from .schema import SECTIONS, TYPES, ServiceConfig, type_of
from .tree import Node, entries, find
from .tree import Path as TreePath

_UNITS: Final = ("duration", "size", "share")


def printed(root: Node, *, is_redacted: bool = True, has_defaults: bool = False) -> dict[str, Any]:
    """The data of ``root``. With ``has_defaults`` every option of every component that is right is there; a block that
    is wrong is printed as it is written. An option that is off has no key."""
    printer = _Printer(root, is_redacted)
    data: dict[str, Any] = {}
    for key, node in entries(root):
        if key not in SECTIONS or not isinstance(node.value, dict):
            model = ServiceConfig if key == "service" else None
            data[key] = printer.block((key,), model, has_defaults)
            continue
        data[key] = {
            component: printer.block((key, component), TYPES[key].get(type_of(key, component) or ""), has_defaults)
            for component, _ in entries(node)
        }
    return data


def to_yaml(data: Mapping[str, Any]) -> str:
    """As a YAML document."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 2**31 - 1  # never in the middle of a text
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(dict(data), out)
    return out.getvalue()


class _Printer:
    def __init__(self, root: Node, is_redacted: bool) -> None:
        self._root = root
        self._is_redacted = is_redacted

    def block(self, path: TreePath, model: type[Config] | None, has_defaults: bool) -> Any:
        node = find(self._root, path)
        assert node is not None, "the path comes from the tree"
        if has_defaults and model is not None:
            config, problems = check(model, self._root, path)
            if config is not None and not problems:
                return self._all(config, node, ())
        return self._written(node, model, ())

    def _written(self, node: Node, model: type[Config] | None, path: TreePath) -> Any:
        match node.value:
            case dict() as inner:
                if self._is_redacted and _is_secret_text(model, path):
                    return REDACTED  # a mapping by mistake: then its keys are what is secret
                return {key: self._written(value, model, (*path, key)) for key, value in inner.items()}
            case list() as items:
                return [self._written(item, model, (*path, i)) for i, item in enumerate(items)]
            case scalar:
                kind = "" if model is None else kind_at(model, path)
                if node.text is not None and (kind == "secret" or "text" in kind):
                    scalar = node.text  # a text that looks like a number
                return self._scalar(scalar, kind, path, node)

    def _all(self, value: Any, node: Node | None, path: TreePath, kind: str = "") -> Any:
        found = None if node is None else find(node, path)
        match value:
            case BaseModel():
                fields = type(value).model_fields.items()
                named = ((info.alias or name, getattr(value, name), kind_of(info)) for name, info in fields)
                return {key: self._all(v, node, (*path, key), k) for key, v, k in named if v is not None}
            case Mapping():
                return {str(key): self._all(item, node, (*path, str(key)), kind) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._all(item, node, (*path, i), kind) for i, item in enumerate(value)]
            case None | bool() | int() | float() | str():
                shown = render_value(kind, value) if kind in _UNITS else value
                return self._scalar(shown, kind, path, found)
            case _:
                return self._scalar(_text_of(value), kind, path, found)

    def _scalar(self, value: Any, kind: str, path: TreePath, node: Node | None) -> Any:
        if self._is_redacted and value is not None:
            is_hidden = node is not None and node.is_hidden
            if is_hidden or "secret" in kind or is_secret_place(path):
                return REDACTED
        if not isinstance(value, str):
            return value
        if _is_profile(path) and node is not None:
            value = str(Path(node.file).parent / value)  # relative to the file it is written in, which is left behind
        if self._is_redacted:
            value = without_password(value)
        return value.replace("$", "$$")


def _is_secret_text(model: type[Config] | None, path: TreePath) -> bool:
    return "headers" in path[:-1] or (model is not None and is_secret_at(model, path))


def _is_profile(path: TreePath) -> bool:
    return len(path) == 2 and path[0] == "profiles" and isinstance(path[1], int)


def _text_of(value: Any) -> Any:
    """Of a secret what it hides, of an enumeration what is written, else its text."""
    reveal = getattr(value, "reveal", None)
    if reveal is not None:
        return reveal()
    return getattr(value, "value", str(value))
