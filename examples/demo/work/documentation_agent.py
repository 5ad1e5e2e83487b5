"""DocumentationAgent: makes the docstrings of the standard library searchable. All of it is async code."""

from __future__ import annotations

import ast
import asyncio
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import Final

from bmad_otel import track_task

from . import corpus
from .agent import Surroundings

QUESTIONS: Final = ("read a file line by line", "parse date", "thread lock", "compress data", "random choice", "url")

_WORD = re.compile(r"[a-z][a-z_]{2,}")


class DocumentationAgent:
    """Adds a module to the index, then answers a question with what it knows so far."""

    every_s = 0.25
    share = 0.06

    def __init__(self, _surroundings: Surroundings) -> None:
        self._modules = corpus.stdlib_files()
        self._index: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lengths: dict[str, int] = {}

    def tasks(self) -> Iterator[Callable[[], Awaitable[object]]]:
        questions = itertools.cycle(QUESTIONS)
        for path in itertools.cycle(self._modules):
            yield partial(self.index_module, path)
            yield partial(self.search, next(questions))

    @track_task
    async def index_module(self, path: Path) -> int:
        """Renders the docstrings of a module into the index. Returns how many words the index knows."""
        tree = ast.parse(corpus.read(path))
        for name, text in docstrings(tree, path.stem):
            words = _WORD.findall(text.lower())
            self._lengths[name] = len(words)
            for word, count in Counter(words).items():
                self._index[word][name] = count
            await asyncio.sleep(0)  # a large module must not keep the event loop from others
        return len(self._index)

    @track_task
    async def search(self, question: str) -> list[tuple[str, float]]:
        """The five best places for ``question``, by BM25."""
        if not self._lengths:
            return []
        mean = sum(self._lengths.values()) / len(self._lengths)
        scores: dict[str, float] = {}
        for word in _WORD.findall(question.lower()):
            places = self._index.get(word, Counter())
            rarity = math.log(1 + (len(self._lengths) - len(places) + 0.5) / (len(places) + 0.5))
            for name, count in places.items():
                weight = count * 2.2 / (count + 0.3 + 0.9 * self._lengths[name] / mean)
                scores[name] = scores.get(name, 0.0) + rarity * weight
            await asyncio.sleep(0)
        return nlargest(5, scores.items(), key=itemgetter(1))


def docstrings(tree: ast.AST, module: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of the module and of every class and function in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield (module if isinstance(node, ast.Module) else f"{module}.{node.name}"), text
