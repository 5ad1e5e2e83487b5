"""docs/workflows.md and the example are what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bmad_processor.config.describe import describe
from bmad_processor.config.workflows import TaskConfig, WorkflowConfig, load_workflow, shipped_workflows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "workflows.md").read_text()


def test_the_definition_on_the_page_is_one(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "release.yaml").write_text(text)
    assert [task.retries for task in load_workflow(tmp_path / "release.yaml").tasks] == [0, 2, 0]


def test_the_program_on_the_page_runs() -> None:
    [text] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env=os.environ | {"OTEL_SDK_DISABLED": "true"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_names_every_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", PAGE.partition("## In Python")[0], re.MULTILINE))
    options = [*describe(WorkflowConfig), *describe(TaskConfig)]
    assert {option.name for option in options} == set(rows)
    expected = {option.name: "none" if option.default in ('""', "[]") else option.default for option in options}
    assert rows == expected


def test_the_example_runs_and_is_one_trace() -> None:
    environ = os.environ | {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.workflow"],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "publish: ok, 2 attempt(s), 18 words, repeated: hunts, night" in done.stdout
    assert "article ok, tokens: 120" in done.stdout
    assert len(set(re.findall(r'"trace_id": "(0x\w+)"', done.stdout))) == 1
    assert done.stdout.count('"name": "invoke_agent') == 5


def test_shipped_definitions_are_right() -> None:
    loaded = {name: load_workflow(path) for name, path in shipped_workflows().items()}
    assert {name: (workflow.name, len(workflow.tasks)) for name, workflow in loaded.items()} == {
        "ai-development": ("ai-development", 5),
        "product-development": ("product-development", 7),
    }
