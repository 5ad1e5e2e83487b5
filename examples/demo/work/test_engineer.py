"""TestEngineer: compiles modules, checks their syntax trees, and runs the examples in their documentation."""

from __future__ import annotations

import ast
import doctest
import importlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bmad_otel import track_task

from . import corpus
from .agent import Surroundings, Task

WITH_EXAMPLES: Final = ("collections", "difflib", "enum", "fractions", "http.cookies", "json", "statistics")
"""Modules of the standard library whose docstrings have examples that run in milliseconds."""


@dataclass(frozen=True, slots=True)
class Report:
    checked: int
    failed: tuple[str, ...]


class TestEngineer:
    """Goes through the standard library, module by module, with a run of examples after every fourth."""

    __test__ = False  # for pytest, which collects classes by this kind of name
    every_s = 0.25
    share = 0.08

    def __init__(self, _surroundings: Surroundings) -> None:
        self._modules = corpus.stdlib_files()

    def tasks(self) -> Iterator[Task]:
        examples = itertools.cycle(WITH_EXAMPLES)
        for number, path in enumerate(itertools.cycle(self._modules)):
            yield partial(self.check_module, path)
            if number % 4 == 3:
                yield partial(self.run_examples, next(examples))

    @track_task
    def check_module(self, path: Path) -> Report:
        """Compiles a module and names the questionable places in it."""
        source = corpus.read(path)
        try:
            tree = ast.parse(source, str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            return Report(0, (f"{path.name}:{error.lineno}: {error.msg}",))
        checks = questionable(tree)
        return Report(sum(1 for _ in ast.walk(tree)), tuple(f"{path.name}:{line}: {what}" for line, what in checks))

    @track_task
    def run_examples(self, module: str) -> Report:
        """Runs the examples in the docstrings of a module."""
        runner = doctest.DocTestRunner(verbose=False)
        failed = []
        for test in doctest.DocTestFinder().find(importlib.import_module(module)):
            if test.examples and runner.run(test, out=lambda _: None).failed:
                failed.append(test.name)
        return Report(runner.tries, tuple(failed))


def questionable(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and description of what a reviewer would ask about."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield node.lineno, "bare except"
            case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments):
                for default in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
                    if isinstance(default, ast.List | ast.Dict | ast.Set):
                        yield default.lineno, "mutable default"
            case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
                yield node.lineno, "comparison with None by =="
