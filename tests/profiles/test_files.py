"""Writing profile files: judged before, in one piece, and nobody's change is lost."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.agent_names import CANONICAL
from bmad_processor.config import load_profiles
from bmad_processor.config.profile_files import Change, file_name, write_change
from bmad_processor.config.profile_patch import read_patch
from bmad_processor.config.shipped import shipped_profiles
from bmad_processor.errors import ConfigError, ProfileError
from bmad_processor.model import Level

OWNER = "agent: ProductOwner\nthresholds:\n  cpu_usage: {warning: 60%, critical: 80%}\n"


def change(folder: Path, agent: str, body: dict[str, Any], **options: Any) -> Change:
    patch, problems = read_patch(agent, body)
    if problems:
        raise ConfigError(problems)
    return write_change([folder], {}, agent, patch, **options)


def cpu(**levels: Any) -> dict[str, Any]:
    return {"thresholds": {"cpu_usage": levels}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "owner.yaml").write_text(OWNER)
    return folder


def test_the_agents_own_file_is_edited_and_keeps_its_mode(folder: Path) -> None:
    file = folder / "owner.yaml"
    file.chmod(0o640)
    done = change(folder, "ProductOwner", cpu(warning=65))
    assert done.file == file
    assert file.read_text() == OWNER.replace("60%", "65%")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in folder.iterdir()] == ["owner.yaml"]  # nothing is left beside it


def test_a_link_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / "owner.yaml").rename(tmp_path / "real.yaml")
    (folder / "owner.yaml").symlink_to(tmp_path / "real.yaml")
    change(folder, "ProductOwner", cpu(warning=65))
    assert (folder / "owner.yaml").is_symlink()
    assert "65%" in (tmp_path / "real.yaml").read_text()


def test_a_new_file_has_the_agents_name(folder: Path) -> None:
    assert change(folder, "FrontendDeveloper", cpu(warning=65)).file == folder / "frontend-developer.yaml"
    (folder / "research.yaml").write_text("agent: Somebody\n")
    assert change(folder, "Research", cpu(warning=65)).file == folder / "research-2.yaml"
    assert change(folder, "*", cpu(warning=65)).file == folder / "default.yaml"
    profiles, problems = load_profiles([folder], {})
    assert problems == []
    assert profiles.by_agent["Research"].thresholds["cpu_usage"][Level.WARNING] == 0.65
    assert profiles.by_agent["Somebody"].thresholds["cpu_usage"][Level.WARNING] == 0.65


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("ProductOwner", "product-owner"),
        ("XMLReaderAgent", "xml-reader-agent"),
        ("../../etc/passwd", "etc-passwd"),
        ("\N{PILE OF POO}", "agent"),
        ("x" * 200, "x" * 60),
    ],
)
def test_names_of_files_are_harmless(agent: str, name: str) -> None:
    assert file_name(agent) == name


def test_files_are_named_as_the_shipped_ones() -> None:
    assert {file_name(agent) for agent in CANONICAL} <= {path.stem for path in shipped_profiles().iterdir()}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (cpu(warning=90), "profile ProductOwner: thresholds::cpu_usage::warning: warning 90.0% is above critical 80.0% "
                          "of the agent's profile"),
        (cpu(critical=97), "thresholds::cpu_usage::critical: critical 97.0% is above emergency 95.0% of the built-in"),
        (cpu(warning=90, critical=80), "thresholds::cpu_usage::critical: critical 80.0% is below warning 90.0%"),
        ({"thresholds": {"error_rate": {"warning": 101}}}, "thresholds::error_rate::warning: '101%' is not understood"),
        ({"thresholds": {"response_time": {"warning": -1}}}, "thresholds::response_time::warning: '-1s' is not"),
        ({"thresholds": {"cpu_usge": {"warning": 1}}}, "thresholds::cpu_usge: unknown metric type 'cpu_usge', did you "
                                                       "mean cpu_usage?"),
        (cpu(warnin=1), "thresholds::cpu_usage::warnin: unknown level 'warnin', did you mean warning?"),
        ({"scaling": {"min_instances": 7}}, "scaling::min_instances: min_instances 7 is more than max_instances 3"),
        ({"scaling": {"max_instances": 0}}, "scaling::max_instances: 0 is out of range (expected at least 1)"),
        ({"monitoring_enabled": "yes"}, "monitoring_enabled: 'yes' is not understood (expected true or false)"),
        ({"group": "x"}, "group: unknown key 'group'"),
        (cpu(warning="${env:HOME}"), "'${env:HOME}' is not understood"),
    ],
)  # fmt: skip
def test_what_is_wrong_changes_nothing(folder: Path, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        change(folder, "ProductOwner", body)
    assert message in str(caught.value)
    assert (folder / "owner.yaml").read_text() == OWNER


def test_every_problem_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        change(folder, "ProductOwner", {**cpu(warning=-1, critical="much"), "scaling": {"x": 1}})
    assert [problem.path for problem in caught.value.problems] == [
        "scaling::x", "thresholds::cpu_usage::warning", "thresholds::cpu_usage::critical",
    ]  # fmt: skip


def test_somebody_elses_broken_file_stops_the_change(folder: Path) -> None:
    (folder / "broken.yaml").write_text("agent: X\nfoo: 1\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml:2: foo: unknown key"):
        change(folder, "ProductOwner", cpu(warning=65))
    assert (folder / "owner.yaml").read_text() == OWNER


def test_a_whole_profile_drops_what_contradicts_it_and_says_so(folder: Path) -> None:
    done = change(folder, "ProductOwner", cpu(warning=96, critical=98), replace=True)
    assert [str(one) for one in done.dropped] == ["critical 98.0% is above emergency 95.0% of the built-in thresholds"]
    assert done.profiles.by_agent["ProductOwner"].thresholds["cpu_usage"] == {Level.WARNING: 0.96, Level.CRITICAL: 0.98}


def test_without_a_directory_there_is_nowhere_to_write() -> None:
    with pytest.raises(ProfileError, match="no directory for a new profile"):
        write_change([], {}, "New", read_patch("New", cpu(warning=1))[0])


def test_who_holds_the_directory_for_too_long_is_not_waited_for(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(ProfileError, match="being changed by another program"):
            change(folder, "ProductOwner", cpu(warning=65), lock_timeout_s=0.1)
    finally:
        os.close(descriptor)
    assert (folder / "owner.yaml").read_text() == OWNER


def test_changes_at_once_lose_nothing(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from bmad_processor.config.profile_files import write_change\n"
        "from bmad_processor.config.profile_patch import read_patch\n"
        "for i in range(10):\n"
        "    body = {'thresholds': {f'custom:{sys.argv[2]}.{i}': {'warning': i}}}\n"
        "    write_change([Path(sys.argv[1])], {}, 'ProductOwner', read_patch('ProductOwner', body)[0])\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", program, str(folder), name]) for name in ("one", "two")]
    assert [other.wait(60) for other in others] == [0, 0]
    profiles, problems = load_profiles([folder], {})
    assert problems == []
    custom = {name for name in profiles.by_agent["ProductOwner"].thresholds if name.startswith("custom:")}
    assert custom == {f"custom:{name}.{i}" for name in ("one", "two") for i in range(10)}


class Interrupting(dict[str, str]):
    """An environment in which somebody's editor writes the file the second time that a variable is looked up.

    That is when an edit is judged: after the file was read, before it is replaced.
    """

    def __init__(self, file: Path, *, every_time: bool = False) -> None:
        super().__init__(MAX="4")
        self._file = file
        self._every_time = every_time
        self._n = 0

    def get(self, key: str, default: Any = None) -> Any:
        self._n += 1
        if self._n == 2 or (self._every_time and self._n % 2 == 0):
            self._file.write_text(self._file.read_text() + f"# by hand, {self._n}\n")
        return super().get(key, default)


def test_what_an_editor_wrote_meanwhile_is_kept(folder: Path) -> None:
    file = folder / "owner.yaml"
    before = OWNER + 'scaling: {max_instances: "${env:MAX}"}\n'
    file.write_text(before)
    patch, _ = read_patch("ProductOwner", cpu(warning=65))
    done = write_change([folder], Interrupting(file), "ProductOwner", patch)
    assert file.read_text() == before.replace("60%", "65%") + "# by hand, 2\n"
    assert done.profiles.by_agent["ProductOwner"].scaling.max_instances == 4
    with pytest.raises(ProfileError, match="is being edited by someone else"):
        write_change([folder], Interrupting(file, every_time=True), "ProductOwner", patch)
