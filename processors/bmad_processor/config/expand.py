"""Puts environment variables and files into a tree: ``${env:NAME}``, ``${env:NAME:-default}``, ``${file:path}``.

``${NAME}`` is the old spelling of ``${env:NAME}``; ``$$`` is a dollar sign. A value that is one expansion and nothing
else is read as a YAML scalar, so numbers and booleans work; inside other text it stays text. What comes in is not
expanded again: a password may contain ``${``. A variable that is set but empty counts as set, as in the OpenTelemetry
Collector. Keys are not expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bmad_processor.errors import Problem

from .hidden import sounds_secret
from .tree import Node, printable, render_path
from .tree import Path as TreePath
from .yaml_source import parse_scalar

_PART: Final = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!-)(.*)", re.DOTALL)
_FORMS: Final = "${env:NAME}, ${env:NAME:-default} or ${file:path}"


class _CannotExpandError(Exception):
    def __init__(self, message: str, expected: str = "") -> None:
        self.message, self.expected = message, expected


def expand(root: Node, environ: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """``root`` with every expansion done, and what could not be expanded.

    Paths of ``${file:...}`` are relative to the file they are written in; a trailing newline of the content is dropped.
    """
    problems: list[Problem] = []
    return _expand(root, environ, (), problems), problems


def _expand(node: Node, environ: Mapping[str, str], path: TreePath, problems: list[Problem]) -> Node:
    match node.value:
        case dict() as entries:
            inner = {key: _expand(value, environ, (*path, key), problems) for key, value in entries.items()}
            return Node(inner, node.file, node.line, node.key_line)
        case list() as items:
            listed = [_expand(item, environ, (*path, i), problems) for i, item in enumerate(items)]
            return Node(listed, node.file, node.line, node.key_line)
        case str() as text if "$" in text:
            try:
                return _expand_text(node, text, environ)
            except _CannotExpandError as refused:
                where = render_path(path)
                problems.append(Problem(node.file, node.line, where, refused.message, refused.expected))
                return node
        case _:
            return node


def _expand_text(node: Node, text: str, environ: Mapping[str, str]) -> Node:
    whole = _PART.fullmatch(text)
    is_hidden = any(_is_secret(match[1] or "") for match in _PART.finditer(text))
    if whole is not None and whole[1] is not None:
        found = _resolve(whole, node.file, environ)
        return Node(parse_scalar(found), node.file, node.line, node.key_line, found, is_hidden)
    replaced = _PART.sub(lambda match: _resolve(match, node.file, environ), text)
    return Node(replaced, node.file, node.line, node.key_line, is_hidden=is_hidden)


def _is_secret(body: str) -> bool:
    """Files are how secrets are handed to containers; of variables the name says it."""
    return body.startswith("file:") or sounds_secret(body.removeprefix("env:").partition(":-")[0])


def _resolve(match: re.Match[str], file: str, environ: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    body: str = match[1]
    if not match[2]:
        raise _CannotExpandError("'${' is never closed", "'}', or $$ for a dollar sign")
    if "${" in body:
        raise _CannotExpandError("${...} inside ${...}", _FORMS)
    scheme = _SCHEME.fullmatch(body)
    if scheme is None or scheme[1] == "env":
        return _variable(body if scheme is None else scheme[2], environ)
    if scheme[1] == "file":
        return _content(scheme[2], file)
    raise _CannotExpandError(f"'{printable(scheme[1])}:' cannot be expanded", _FORMS)


def _variable(body: str, environ: Mapping[str, str]) -> str:
    name, separator, default = body.partition(":-")
    if not _NAME.fullmatch(name):
        raise _CannotExpandError(f"'{printable(name)}' is not the name of an environment variable", _FORMS)
    value = environ.get(name)
    if value is not None:
        return value
    if separator:
        return default
    raise _CannotExpandError(
        f"environment variable {name} is not set", f"{name} in the environment, or ${{env:{name}:-default}}"
    )


def _content(body: str, file: str) -> str:
    try:
        text = (Path(file).parent / body).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text"
        raise _CannotExpandError(f"the file '{printable(body)}' cannot be read: {reason}") from error
    return text.removesuffix("\n").removesuffix("\r")
