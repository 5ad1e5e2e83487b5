"""SecurityDeveloper: scans source files for secrets and dangerous calls."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bmad_otel import track_task

from . import corpus
from .agent import Surroundings, Task

PATTERNS: Final = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token in code": re.compile(r"(?i)\b(?:api_?key|secret|token|passw(?:or)?d)\s*=\s*['\"]([^'\"]{12,})['\"]"),
    "eval or exec": re.compile(r"(?<![\w.])(?:eval|exec)\("),
    "shell": re.compile(r"\bshell\s*=\s*True\b|\bos\.system\("),
    "pickle": re.compile(r"\bpickle\.loads?\("),
    "weak hash": re.compile(r"\bhashlib\.(?:md5|sha1)\("),
    "no certificate check": re.compile(r"\bverify\s*=\s*False\b|_create_unverified_context"),
}

SECRET_BITS_PER_CHARACTER: Final = 3.0
"""Below it, a literal next to the word "password" is text, not a secret."""


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    line: int
    what: str


class SecurityDeveloper:
    """Scans the installed packages and the standard library."""

    every_s = 0.25
    share = 0.06

    def __init__(self, _surroundings: Surroundings) -> None:
        files = corpus.stdlib_files()
        for package in corpus.installed_packages():
            files += corpus.package_files(package)
        self._files = files
        self.findings: Counter[str] = Counter()

    def tasks(self) -> Iterator[Task]:
        for batch in itertools.cycle(corpus.batches(self._files, limit_bytes=150_000)):
            yield partial(self.scan, batch)

    @track_task
    def scan(self, files: list[Path]) -> list[Finding]:
        """What the patterns find in ``files``."""
        found = [finding for path in files for finding in findings_in(path.name, corpus.read(path))]
        self.findings.update(finding.what for finding in found)
        return found


def findings_in(file: str, source: str) -> Iterator[Finding]:
    """Every match of `PATTERNS`; of the literals only those that look like a secret."""
    for what, pattern in PATTERNS.items():
        for match in pattern.finditer(source):
            if match.lastindex and entropy(match[1]) < SECRET_BITS_PER_CHARACTER:
                continue
            yield Finding(file, source.count("\n", 0, match.start()) + 1, what)


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
