"""The parent's end of `child`: starting measured processes, and having them work in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BENCHMARKS = Path(__file__).parents[1]

_START_TIMEOUT_S = 120
"""Some peers import and instrument for ten seconds on a busy machine."""

_ANSWER_TIMEOUT_S = 300
"""A hundred times what a round takes: a child that needs longer hangs."""

_NO_TIMER_MS = str(24 * 3600 * 1000)
"""Metrics are exported when the child is told to collect, never in between."""


class ChildFailed(Exception):
    """A measured process did not start, or died; the message says what it said last."""


class Child:
    """One measured process, in a home and a working directory of its own, without the user's OTEL_ variables."""

    def __init__(
        self, module: str, *, python: str = sys.executable, variables: Mapping[str, str] | None = None
    ) -> None:
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by `close`
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BMAD_", "PYTHON"))}
        ours = {"HOME": self._home.name, "PYTHONPATH": str(BENCHMARKS), "OTEL_METRIC_EXPORT_INTERVAL": _NO_TIMER_MS}
        self._process = subprocess.Popen(
            [python, "-m", "sdk.child", module], env={**kept, **ours, **(variables or {})}, cwd=self._home.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        self.calls: dict[str, int] = {}
        """How often each form has run, warm-up and all."""
        try:
            hello = self._read(_START_TIMEOUT_S)
        except ChildFailed:
            self.close()
            raise
        self.errors: dict[str, str] = {form: error for form, error in hello["forms"].items() if error is not None}
        self.versions: dict[str, str] = hello["versions"]

    def ask(self, **command: Any) -> dict[str, Any]:
        """The answer to one command of `child`. Raises ChildFailed, also when the answer is an error."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildFailed(self._last_words()) from error
        if form := command.get("form") or command.get("last_span"):
            n = command.get("calls", 1) + command.get("warm_up", 0)
            self.calls[form] = self.calls.get(form, 0) + n
        return self._read(_ANSWER_TIMEOUT_S)

    def _read(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise ChildFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait(10)
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"exit code {code}: {lines[-1][:300] if lines else 'it said nothing'}"

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


@dataclass
class Samples:
    """CPU seconds of one call of a form, one value a round; and the spans that came of all the calls."""

    caller_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    n_calls: int = 0
    n_spans: int = 0
    error: str | None = None


class Group:
    """Several children by name, and what was measured of their forms."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.failed: dict[str, str] = {}
        self.samples: dict[tuple[str, str], Samples] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def start(self, name: str, module: str, *, python: str = sys.executable, **variables: str) -> None:
        """A child that does not start is remembered in ``failed``, and the run goes on without it."""
        try:
            self.children[name] = self._stack.enter_context(Child(module, python=python, variables=variables))
        except ChildFailed as error:
            self.failed[name] = str(error)

    def run(self, cells: Iterable[tuple[str, str]], *, rounds: int, calls: int) -> None:
        """Measure the forms, each a pair of child and form, in turn; every other round backwards.

        So a machine that becomes slower while the run lasts does not favour the forms that come first.
        """
        cells = [(child, form) for child, form in cells if child in self.children]
        for cell in cells:
            self.samples[cell] = Samples(error=self.children[cell[0]].errors.get(cell[1]))
        for round_ in range(rounds):
            for child, form in cells if round_ % 2 == 0 else reversed(cells):
                samples = self.samples[child, form]
                if samples.error is None:
                    self._sample(child, form, samples, calls)

    def _sample(self, child: str, form: str, samples: Samples, calls: int) -> None:
        try:
            answer = self.children[child].ask(form=form, calls=calls, warm_up=max(1, calls // 20))
        except ChildFailed as error:
            samples.error = str(error)
            return
        samples.caller_s.append(answer["caller_s"] / calls)
        samples.whole_s.append(answer["whole_s"] / calls)
        samples.n_calls += calls
        samples.n_spans += answer["spans"]
