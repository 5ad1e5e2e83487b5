"""QualityGuardian: reviews files from a queue and streams what it finds, as an async generator.

Any number of instances take from the same queue, so that work which arrives faster can be shared out.
"""

from __future__ import annotations

import ast
import asyncio
import io
import tokenize
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bmad_otel import track_task

from . import corpus
from .agent import Surroundings, Task
from .review_queue import ReviewQueue

COMPLEX_FROM: Final = 10
LONG_FROM_LINES: Final = 60

_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.BoolOp, ast.IfExp, ast.comprehension)


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    line: int
    what: str


class QualityGuardian:
    """Reviews whatever is in the queue, as fast as it can."""

    every_s = 0.0
    share = 1.0

    def __init__(self, surroundings: Surroundings) -> None:
        self._queue = ReviewQueue(surroundings.workspace)
        self.findings: Counter[str] = Counter()

    def tasks(self) -> Iterator[Task | None]:
        while True:
            path = self._queue.take()
            yield None if path is None else partial(self.collect, path)

    @track_task
    async def review(self, path: Path) -> AsyncIterator[Finding]:
        """Streams what is questionable in a file, as it is found."""
        source = corpus.read(path)
        for line, what in style_findings(source):
            yield Finding(path.name, line, what)
        await asyncio.sleep(0)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for what in function_findings(node):
                    yield Finding(path.name, node.lineno, what)

    async def collect(self, path: Path) -> None:
        async for finding in self.review(path):
            self.findings[finding.what] += 1


def style_findings(source: str) -> Iterator[tuple[int, str]]:
    """What the tokens show: unfinished places, very long lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and ("TODO" in token.string or "XXX" in token.string):
            yield token.start[0], "unfinished"
        elif token.type in (tokenize.NEWLINE, tokenize.NL) and token.start[1] > 100:
            yield token.start[0], "long line"


def function_findings(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """What the tree of a function shows."""
    complexity = 1 + sum(isinstance(node, _BRANCHES) for node in ast.walk(function))
    if complexity >= COMPLEX_FROM:
        yield "complex function"
    if (function.end_lineno or function.lineno) - function.lineno >= LONG_FROM_LINES:
        yield "long function"
    if not function.name.startswith("_") and ast.get_docstring(function) is None:
        yield "undocumented function"
