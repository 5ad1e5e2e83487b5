"""Reads one YAML file into a tree that remembers lines. YAML 1.2, safe, one document, no duplicate keys.

The composer of ruamel.yaml is used and not its constructor: it keeps the position of every key and value, also of
scalars, and no tag can ever build an object.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from bmad_processor.errors import Problem

from .hidden import is_secret_place
from .tree import Node, Scalar, printable, render_path, show
from .tree import Path as TreePath

_QUOTED: Final = re.compile(r""" ["'](?!<)[^"']{2,}["']""")
"""Not one of the parser's own words, such as `'<block end>'`, and not a single character."""

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {_TAG + name for name in ("int", "float", "bool", "null")}
# dates are text here: no option is a date, and YAML 1.2 knows none
_TEXTS: Final = {_TAG + name for name in ("str", "timestamp", "merge", "value")}

MAX_VALUES: Final = 100_000
"""Values in one document, aliases followed; a few lines of nested aliases could otherwise stand for billions."""

MAX_BYTES: Final = 8 * 2**20
"""Larger than any configuration; a log file given by mistake is refused at once instead of parsed for minutes."""


def read_yaml(path: Path, *, name: str | None = None) -> tuple[Node | None, list[Problem]]:
    """The mapping in the file at ``path``, and what is wrong with it; None when nothing could be read.

    ``name`` is how problems call the file, by default the path as given. An empty file is an empty mapping.
    """
    name = str(path) if name is None else name
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            return None, [Problem(name, 0, "", "the file is too large", f"at most {MAX_BYTES // 2**20} MiB")]
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        return None, [Problem(name, 0, "", "no such file")]
    except UnicodeDecodeError as error:
        return None, [Problem(name, content.count(b"\n", 0, error.start) + 1, "", "not UTF-8 text")]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return None, [Problem(name, 0, "", f"cannot be read: {reason}")]
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> tuple[Node | None, list[Problem]]:
    """The same from text, called ``name`` in problems."""
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a reused anchor is legal YAML and no news to the user
            top = yaml.compose(text)
    except RecursionError:
        return None, [Problem(name, 0, "", "nested too deeply")]
    except Exception as error:  # noqa: BLE001  the parser raises plain errors too on some broken input
        return None, [_syntax_problem(error, text, name)]
    if top is None:
        return Node({}, name, 1, 1), []
    reader = _Reader(name)
    try:
        root = reader.read(top, top.start_mark.line + 1, ())
    except RecursionError:
        return None, [Problem(name, 0, "", "nested too deeply")]
    if root is not None and root.value is None and not reader.problems:
        return Node({}, name, 1, 1), []
    if root is not None and not isinstance(root.value, dict):
        return None, [*reader.problems, Problem(name, root.line, "", f"{_kind(root.value)} at the top", "a mapping")]
    return root, reader.problems


def parse_value(text: str, name: str) -> tuple[Node | None, list[Problem]]:
    """The value that ``text`` is: a scalar, or a list or mapping in any style."""
    yaml = YAML(typ="safe", pure=True)
    try:
        top = yaml.compose(text)
    except RecursionError:
        return None, [Problem(name, 0, "", "nested too deeply")]
    except Exception as error:  # noqa: BLE001  the parser raises plain errors too on some broken input
        return None, [replace(_syntax_problem(error, text, name), line=0)]
    if top is None:
        return Node(None, name, 0, 0), []
    reader = _Reader(name)
    return reader.read(top, 0, ()), reader.problems


def parse_scalar(text: str) -> Scalar:
    """``text`` read as a plain YAML scalar: ``5`` is a number, ``true`` a boolean, anything else itself."""
    yaml = YAML(typ="safe", pure=True)
    tag = str(yaml.resolver.resolve(ScalarNode, text, (True, False)))
    if tag not in _SCALARS:
        return text
    try:
        value: Scalar = yaml.constructor.construct_object(ScalarNode(tag, text))
    except ValueError:
        return text
    return value


class _Reader:
    """Turns composed nodes into a tree, collecting problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._constructor = YAML(typ="safe", pure=True).constructor
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: Any, key_line: int, path: TreePath) -> Node | None:
        """The tree below ``node``; None (with a problem) for what cannot be taken."""
        line: int = node.start_mark.line + 1
        self._count += 1
        if self._count > MAX_VALUES:
            if self._count == MAX_VALUES + 1:
                self._refuse(line, path, "too many values", f"at most {MAX_VALUES}")
            return None
        if id(node) in self._open:
            self._refuse(key_line, path, "an alias contains itself")
            return None
        self._open.add(id(node))
        try:
            match node:
                case ScalarNode():
                    return self._scalar(node, line, key_line, path)
                case SequenceNode() if node.tag == _TAG + "seq":
                    read = (self.read(n, n.start_mark.line + 1, (*path, i)) for i, n in enumerate(node.value))
                    return Node([item for item in read if item is not None], self.file, line, key_line)
                case MappingNode() if node.tag == _TAG + "map":
                    return Node(self._mapping(node, path), self.file, line, key_line)
                case _:
                    self._refuse(line, path, _about_tag(str(node.tag), path))
                    return None
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Any, line: int, key_line: int, path: TreePath) -> Node | None:
        tag = str(node.tag)
        if tag in _TEXTS:
            return Node(str(node.value), self.file, line, key_line)
        if tag not in _SCALARS:
            self._refuse(line, path, _about_tag(tag, path))
            return None
        try:
            return Node(self._constructor.construct_object(node), self.file, line, key_line)
        except (ValueError, KeyError, IndexError):  # !!int abc; !!bool abc; !!int with nothing behind it
            shown = "what is written here" if is_secret_place(path) else show(node.value)
            self._refuse(line, path, f"{shown} is not what its tag says")
            return None

    def _mapping(self, node: Any, path: TreePath) -> dict[str, Node]:
        result: dict[str, Node] = {}
        own: dict[str, int] = {}
        for key, value in self._with_merges_first(node.value):
            line: int = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._refuse(line, path, "a key that is a list or a mapping", "a plain key")
                continue
            if key.tag == _TAG + "merge":
                result.update(self._merged(value, path))
                continue
            name = str(key.value)
            if name in own:
                self._refuse(line, (*path, name), f"the key is there twice, first in line {own[name]}")
                continue
            own[name] = line
            if (read := self.read(value, line, (*path, name))) is not None:
                result.pop(name, None)  # keeps the order of the file, not of what `<<` brought
                result[name] = read
        return result

    @staticmethod
    def _with_merges_first(pairs: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        # keys written beside `<<` win over what it brings, wherever it stands
        return sorted(pairs, key=lambda pair: getattr(pair[0], "tag", None) != _TAG + "merge")

    def _merged(self, value: Any, path: TreePath) -> dict[str, Node]:
        sources = value.value if isinstance(value, SequenceNode) else [value]
        result: dict[str, Node] = {}
        for source in reversed(sources):  # the first of several wins
            read = self.read(source, source.start_mark.line + 1, (*path, "<<"))
            if read is not None and isinstance(read.value, dict):
                result.update(read.value)
            elif read is not None:
                self._refuse(read.line, (*path, "<<"), f"{show(read.value)} cannot be merged in", "a mapping")
        return result

    def _refuse(self, line: int, path: TreePath, message: str, expected: str = "") -> None:
        self.problems.append(Problem(self.file, line, render_path(path), message, expected))


def _kind(value: object) -> str:
    # a text where a configuration should be may be the content of another file, such as a token
    return show(value) if isinstance(value, list) else "a text or a number"


def _about_tag(tag: str, path: TreePath) -> str:
    # a password that begins with an exclamation mark
    return f"the tag {'that is written' if is_secret_place(path) else printable(tag)} has no meaning here"


def _syntax_problem(error: Exception, text: str, name: str) -> Problem:
    line, reason, expected = 0, "cannot be parsed", ""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        # what the parser quotes may be a part of a secret, such as one that begins with an asterisk
        reason = _QUOTED.sub("", printable(str(error.problem or error.context or reason)))
    elif isinstance(error, ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        reason = "a control character"
    lines = text.split("\n")
    if line and "${" in lines[min(line, len(lines)) - 1]:
        expected = "quotes around ${...} inside { } or [ ]"
    return Problem(name, line, "", f"not valid YAML: {reason}", expected)
