"""The public API is one page: these names and signatures, as docs/sdk.md shows them."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bmad_otel
from bmad_otel import semconv

ROOT = Path(__file__).parents[2]
MONITOR = {
    "get_performance_monitor", "create_default_agent_profiles", "PerformanceMonitor", "AgentPerformanceProfile",
    "PerformanceMetric", "PerformanceAlert", "MetricType", "AlertLevel",
}  # fmt: skip
PAGE = (ROOT / "docs" / "sdk.md").read_text()
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("sdk.md", "testing.md", "monitor.md")}


def test_the_names() -> None:
    assert bmad_otel.__all__ == [
        "configure", "shutdown", "force_flush", "diagnostics", "Diagnostics", "track_task", "track_tool",
        "track_workflow", "instrument_agent", "current_task", "TaskHandle", "Usage", "Capture", "observe_queue",
        "Operation", "Outcome", *sorted(MONITOR, key=bmad_otel.__all__.index), "__version__",
    ]  # fmt: skip
    public = {name for name in vars(bmad_otel) if not name.startswith(("_", "@"))} - {
        "semconv",
        "testing",
        "instrumentor",
        "monitor",
        "compat",
        "Any",
        "TYPE_CHECKING",
        "workflow",
    }
    assert public | MONITOR == {name for name in bmad_otel.__all__ if not name.startswith("_")}
    assert set(bmad_otel.__all__) <= set(dir(bmad_otel))


def test_the_monitor_is_loaded_when_it_is_asked_for() -> None:
    program = """
import sys, bmad_otel
heavy = ("bmad_otel.monitor", "bmad_processor", "opentelemetry.sdk")
assert not [name for name in sys.modules if name.startswith(heavy)]
assert bmad_otel.AlertLevel.INFO.value == "info"
assert "bmad_otel.monitor" in sys.modules
assert not [name for name in sys.modules if name.startswith("bmad_processor")]
try:
    bmad_otel.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_all_modules_but_the_table_and_the_entry_point_are_private() -> None:
    modules = {path.stem for path in Path(bmad_otel.__file__).parent.glob("*.py")}
    assert {name for name in modules if not name.startswith("_")} == {"semconv", "instrumentor"}


@pytest.mark.parametrize("name", ["configure", "shutdown", "force_flush", "track_task"])
def test_the_page_shows_each_signature(name: str) -> None:
    """Names, order and defaults of the parameters on the page are those of the function."""
    shown = re.search(rf"^{name}\(\n.*?\n\)$", PAGE, re.DOTALL | re.MULTILINE)
    assert shown is not None
    (call,) = ast.parse(shown.group()).body
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    documented = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.value.keywords}
    parameters = inspect.signature(getattr(bmad_otel, name)).parameters.values()
    by_keyword = {p.name: p.default for p in parameters if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    by_keyword = {key: default.value if isinstance(default, semconv.Operation) else default
                  for key, default in by_keyword.items()}  # fmt: skip
    assert list(documented.items()) == list(by_keyword.items())


def test_the_page_names_every_metric_and_attribute_of_the_sdk() -> None:
    rows = semconv.AGENT_METRICS + semconv.PROCESS_METRICS + semconv.CONTAINER_METRICS + semconv.SYSTEM_METRICS
    missing = [row.name for row in rows if row.name not in PAGE]
    assert missing == []
    assert [outcome for outcome in bmad_otel.Outcome if f"`{outcome.value}`" not in PAGE] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_examples_on_the_pages_run(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)
    assert blocks
    for block in blocks:
        result = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, timeout=60, env={"OTEL_SDK_DISABLED": "true"}
        )
        assert (result.returncode, result.stderr) == (0, ""), block


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert bmad_otel.__version__ == project["version"]


def test_types_survive_the_decorator() -> None:
    """mypy --strict accepts typing_api.py, where every expected error is marked and so must be one."""
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--config-file=", "typing_api.py",
         "--cache-dir", str(ROOT / ".mypy_cache")],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
