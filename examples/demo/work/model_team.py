"""The agents of the workflow ``ai-development``: a model that tells from the words in a function which package of the
standard library it is from. Multinomial naive Bayes (Manning, Raghavan, Schuetze 2008, chapter 13), trained and judged
on what is on this machine.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import corpus

Context = Mapping[str, Any]

PACKAGES: Final = ("email", "http", "logging", "unittest")
_WORD: Final = re.compile(r"[a-z]{3,}")

WORSE_BY: Final = 0.35
"""A package whose functions are recognised so much less often than all together is treated unfairly."""


FEWEST: Final = 10
"""Of fewer examples a share says nothing."""


@dataclass(frozen=True, slots=True)
class Example:
    package: str
    words: tuple[str, ...]
    is_held_out: bool
    """Whether it is for judging and not for learning: a fifth, by a checksum of its text."""


@dataclass(frozen=True, slots=True)
class Dataset:
    size: int
    examples: list[Example] = field(repr=False)


@dataclass(slots=True)
class Model:
    """Word counts by package; ``recognised`` and ``asked`` are of the examples held out."""

    words: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter), repr=False)
    examples: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set, repr=False)
    recognised: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def guess(self, words: tuple[str, ...]) -> str:
        def score(package: str) -> float:
            counts = self.words[package]
            total = sum(counts.values()) + len(self.known)
            likely = sum(math.log((counts[word] + 1) / total) for word in words if word in self.known)
            return math.log(self.examples[package]) + likely

        return max(self.examples, key=score)

    @property
    def accuracy_ratio(self) -> float:
        return sum(self.recognised.values()) / sum(self.asked.values())


class QualityGateFailed(Exception):
    """The model is not good enough."""


class DataEngineer:
    """Cuts the packages into functions, and functions into words."""

    def build_pipeline(self) -> Dataset:
        found: list[Example] = []
        for package in PACKAGES:
            spec = importlib.util.find_spec(package)
            assert spec is not None
            assert spec.submodule_search_locations is not None
            for path in corpus.package_files(Path(next(iter(spec.submodule_search_locations)))):
                for node in ast.walk(ast.parse(corpus.read(path))):
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                        text = ast.unparse(node)
                        words = tuple(_WORD.findall(text.lower()))
                        found.append(Example(package, words, zlib.crc32(text.encode()) % 5 == 0))
        return Dataset(len(found), found)


class RnD:
    """Measures which words are too frequent everywhere to tell anything."""

    def conduct_research(self) -> dict[str, Any]:
        seen: Counter[str] = Counter()
        files = corpus.stdlib_files()[:40]
        for path in files:
            seen.update(set(_WORD.findall(corpus.read(path).lower())))
        return {"files": len(files), "ignore": [word for word, n in seen.items() if n > 0.9 * len(files)]}


class AiDeveloper:
    """Trains the model, and checks whom it treats worse."""

    def build_pipeline(self, context: Context) -> Model:
        ignored = set(context["inputs"]["research"]["ignore"])
        examples = context["inputs"]["data-pipeline"].examples
        model = Model()
        for example in examples:
            if not example.is_held_out:
                model.words[example.package].update(word for word in example.words if word not in ignored)
                model.examples[example.package] += 1
        model.known = {word for counts in model.words.values() for word in counts}
        for example in examples:
            if example.is_held_out:
                model.asked[example.package] += 1
                model.recognised[example.package] += model.guess(example.words) == example.package
        return model

    def bias_check(self, context: Context) -> dict[str, float]:
        model: Model = context["inputs"]["model"]
        shares = {package: model.recognised[package] / n for package, n in model.asked.items()}
        judged = (package for package, n in model.asked.items() if n >= FEWEST)
        worse = [package for package in judged if shares[package] < model.accuracy_ratio - WORSE_BY]
        if worse:
            raise QualityGateFailed(f"recognises functions of {', '.join(worse)} much less often than others")
        return shares


class QualityGuardian:
    """Asks whether the model is better than always naming the largest package."""

    def quality_gate_check(self, context: Context) -> dict[str, float]:
        model: Model = context["inputs"]["model"]
        largest = max(model.asked.values()) / sum(model.asked.values())
        if model.accuracy_ratio <= largest:
            raise QualityGateFailed(
                f"right in {model.accuracy_ratio:.0%}, and always naming one package in {largest:.0%}"
            )
        return {"accuracy_ratio": model.accuracy_ratio, "largest_package_ratio": largest}
