"""The profiles that come with the package: all 23 agents, from a checkout and from a wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bmad_processor.agent_names import CANONICAL
from bmad_processor.config import load_profiles
from bmad_processor.config.shipped import shipped_config, shipped_profiles
from bmad_processor.model import Level
from bmad_processor.settings import ScalingRules

ROOT = Path(__file__).parents[2]
GROUPS = {"design", "development", "knowledge", "operations", "planning", "quality"}


def test_every_agent_has_a_profile_and_a_group() -> None:
    profiles, problems = load_profiles([shipped_profiles()], {})
    assert problems == []
    assert profiles.by_agent.keys() == set(CANONICAL)
    assert {profile.group for profile in profiles.by_agent.values()} == GROUPS
    assert all(profile.monitoring_enabled and profile.auto_scaling_enabled for profile in profiles.by_agent.values())


@pytest.mark.parametrize("path", sorted(shipped_profiles().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_says_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    reason = re.match(r"(# .+\n)+\n", text)
    assert reason is not None
    assert len(reason[0]) > 60


def test_the_two_that_registered_themselves() -> None:
    profiles, _ = load_profiles([shipped_profiles()], {})
    orchestrator, frontend = profiles.by_agent["Orchestrator"], profiles.by_agent["FrontendDeveloper"]
    w, c = Level.WARNING, Level.CRITICAL

    def pair(thresholds: object, metric: str) -> tuple[float, float]:
        levels = thresholds[metric]  # type: ignore[index]
        return levels[w], levels[c]

    assert pair(orchestrator.thresholds, "cpu_usage") == pair(frontend.thresholds, "cpu_usage") == (0.80, 0.95)
    assert pair(orchestrator.thresholds, "response_time") == (5, 10)
    assert pair(frontend.thresholds, "response_time") == (2, 5)
    # what they registered as 512 and 1024 percent meant megabytes
    mib = 2**20
    for profile in (orchestrator, frontend):
        assert pair(profile.thresholds, "memory_bytes") == (512 * mib, 1024 * mib)
        assert profile.thresholds["memory_usage"] == {Level.EMERGENCY: 0.95}
    # low is bad: the warning comes before, that is above, the critical level
    assert pair(orchestrator.thresholds, "success_rate") == (0.90, 0.85)
    assert pair(frontend.thresholds, "success_rate") == (0.95, 0.90)
    assert orchestrator.scaling == ScalingRules(0.75, 0.80, 1, 1)


def test_the_checkout_has_them() -> None:
    assert shipped_config() == ROOT / "collector-config"


def test_a_wheel_has_them(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-q",
         "--disable-pip-version-check", "-w", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("bmad_otel-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    asked = "from bmad_processor.config.shipped import shipped_config; print(shipped_config())"
    # -S -E would hide the dependencies; what is extracted comes before the checkout on the path
    found = subprocess.run(
        [sys.executable, "-c", asked], env={"PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(installed / "bmad_processor" / "collector_config"), found.stderr
    shipped = {p.relative_to(ROOT / "collector-config") for p in (ROOT / "collector-config").rglob("*") if p.is_file()}
    inside = Path(found.stdout.strip())
    assert {p.relative_to(inside) for p in inside.rglob("*") if p.is_file()} == shipped
