"""Where configuration comes from: files, environment variables, and what is written on the command line.

A source is a path or one of the OpenTelemetry Collector's URIs: ``file:path``, ``env:NAME`` (a variable that holds a
whole document), ``yaml:a::b: v`` (a document on the command line, ``::`` between nested keys). A setting is
``key.path=value``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bmad_processor.errors import Problem

from .merge import over
from .tree import Node, printable, show
from .yaml_source import parse_value, parse_yaml, read_yaml

Source = Path | str

_URI: Final = re.compile(r"(file|env|yaml|https?):(.*)", re.DOTALL)

MAX_SOURCES: Final = 100
"""As in the OpenTelemetry Collector; more is a glob that went wrong."""

_DEEPEST: Final = 50
"""Keys in one path; no configuration is a tenth as deep."""


def read_source(source: Source, environ: Mapping[str, str]) -> tuple[Node | None, list[Problem]]:
    """The mapping a source holds, and what is wrong with it; None when nothing could be read."""
    uri = _URI.fullmatch(source) if isinstance(source, str) else None
    if uri is None:
        return read_yaml(Path(source))
    scheme, rest = uri[1], uri[2]
    if scheme == "file":
        return read_yaml(Path(rest))
    if scheme == "env":
        text = environ.get(rest)
        if text is None:
            return None, [Problem(f"env:{printable(rest)}", 0, "", "the environment variable is not set")]
        return parse_yaml(text, f"env:{rest}")
    if scheme == "yaml":
        return _nested(*parse_yaml(rest, "--config yaml:"))
    message = f"a configuration is not fetched over {scheme}"
    return None, [Problem(printable(str(source)), 0, "", message, "a file, file:, env: or yaml:")]


def source_name(source: Source) -> str:
    """How problems call a source."""
    uri = _URI.fullmatch(source) if isinstance(source, str) else None
    if uri is None or uri[1] not in ("file", "yaml"):
        return str(source)
    return str(Path(uri[2])) if uri[1] == "file" else "--config yaml:"


def read_setting(text: str) -> tuple[Node | None, list[Problem]]:
    """The tree that ``key.path=value`` stands for; the value is YAML. With ``::`` in the path, dots belong to keys."""
    path, separator, value = text.partition("=")
    path = path.strip()
    name = f"--set {printable(path)}"
    if not separator:
        return None, [Problem(name, 0, "", "there is no '='", "--set key.path=value")]
    keys = path.split("::" if "::" in path else ".")
    if not all(keys) or len(keys) > _DEEPEST:
        return None, [Problem(name, 0, "", f"{show(path)} is not a path", "keys with '.' or '::' between them")]
    node, problems = parse_value(value, name)
    if node is not None and problems == []:
        node, problems = _nested(_unplaced(node), [])
    return (None if node is None else _within(keys, node)), problems


def _within(keys: list[str], node: Node) -> Node:
    for key in reversed(keys):
        node = Node({key: node}, node.file, 0, 0)
    return node


def _unplaced(node: Node) -> Node:
    """A value on a command line has no line."""
    match node.value:
        case dict() as entries:
            return Node({key: _unplaced(value) for key, value in entries.items()}, node.file, 0, 0)
        case list() as items:
            return Node([_unplaced(item) for item in items], node.file, 0, 0)
        case scalar:
            return Node(scalar, node.file, 0, 0)


def _nested(node: Node | None, problems: list[Problem]) -> tuple[Node | None, list[Problem]]:
    """``{"a::b": v}`` is ``{a: {b: v}}``, at every level."""
    if node is None or not isinstance(node.value, dict):
        return node, problems
    result = Node({}, node.file, node.line, node.key_line)
    for key, value in node.value.items():
        inner, _ = _nested(value, [])
        assert inner is not None, "a value stays one"
        keys = key.split("::")
        if not all(keys) or len(keys) > _DEEPEST:
            message = f"{show(key)} is not a path"
            problems.append(Problem(node.file, value.key_line, "", message, "keys with '::' between them"))
            continue
        if len(keys) > 1:
            for part in reversed(keys[1:]):
                inner = Node({part: inner}, node.file, value.line, value.key_line)
        result = over(result, Node({keys[0]: inner}, node.file, node.line, node.key_line))
    return result, problems
