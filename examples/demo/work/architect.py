"""Architect: draws the import graph of the installed packages and looks for cycles in it."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bmad_otel import track_task

from . import corpus
from .agent import Surroundings, Task


class Architect:
    """Surveys one package after the other; after each, looks at the graph so far."""

    every_s = 0.25
    share = 0.08

    def __init__(self, _surroundings: Surroundings) -> None:
        self._packages = corpus.installed_packages()
        self.graph: dict[str, set[str]] = {}

    def tasks(self) -> Iterator[Task]:
        for package in itertools.cycle(self._packages):
            for batch in corpus.batches(corpus.package_files(package)):
                yield partial(self.survey, package.parent, batch)
            yield self.find_cycles

    @track_task
    def survey(self, root: Path, files: list[Path]) -> int:
        """Adds the imports of ``files`` to the graph. Returns the number of edges it has now."""
        for path in files:
            module = module_name(path, root)
            self.graph[module] = imports_of(corpus.read(path), module, is_package=path.name == "__init__.py")
        return sum(map(len, self.graph.values()))

    @track_task
    def find_cycles(self) -> list[list[str]]:
        """The groups of modules that import each other in a circle, largest first."""
        return sorted((group for group in components(self.graph) if len(group) > 1), key=len, reverse=True)


def module_name(path: Path, root: Path) -> str:
    """``root/a/b.py`` is ``a.b``, ``root/a/__init__.py`` is ``a``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, module: str, *, is_package: bool) -> set[str]:
    """The modules a source names in its import statements; an unreadable source has none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    package = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*base, *filter(None, [node.module])])
            # ``from package import module`` means the module; for any other name the edge leads nowhere and is harmless
            found.add(stem)
            found.update(f"{stem}.{alias.name}" for alias in node.names)
    found.discard(module)
    return found


def components(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Strongly connected components (Tarjan 1972), without recursion: import chains are longer than Python's stack."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for root in graph:
        if root in index:
            continue
        todo = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while todo:
            node, targets = todo[-1]
            for target in targets:
                if target not in graph:
                    continue  # not surveyed yet, or no module
                if target not in index:
                    index[target] = low[target] = len(index)
                    path.append(target)
                    on_path.add(target)
                    todo.append((target, iter(graph[target])))
                    break
                if target in on_path:
                    low[node] = min(low[node], index[target])
            else:
                todo.pop()
                if todo:
                    parent = todo[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    start = path.index(node)
                    group = path[start:]
                    del path[start:]
                    on_path.difference_update(group)
                    yield group
