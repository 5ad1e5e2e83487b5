"""``export-data`` and ``/api/v1/export``: a document from the store, from the API and from the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bmad_processor.model import HistoryPoint, PartitionKey
from bmad_processor.read_model import ReadModel, answer
from bmad_processor.read_model import export as exporting
from bmad_processor.read_model.export import agent_labels
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import Baseline, Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader

from .conftest import Run
from .test_api import ask


def test_the_structure_of_the_bmad_monitor_with_history(endpoint: str) -> None:
    status, document, _ = ask(endpoint, "/api/v1/export")
    assert status == 200
    assert {"timestamp", "system_summary", "agent_summaries", "recent_alerts", "history", "hints"} <= document.keys()
    # an agent in two namespaces is two agents
    assert {"ProductOwner", "shop/Architect", "bank/Architect", "team/x"} <= document["agent_summaries"].keys()
    assert document["agent_summaries"]["shop/Architect"]["namespace"] == "shop"
    alert = document["recent_alerts"][0]
    assert {"metric_type", "current_value", "threshold", "level", "message", "timestamp", "resolved"} <= alert.keys()
    cpu = document["history"]["ProductOwner"]["cpu_usage"]
    assert cpu["unit"] == "%"
    assert cpu["points"] == [[float(i), float(i), i] for i in range(1, 6)]
    assert document["is_truncated"] is False
    assert document["hints"][0]["desired"] == 2


def test_since_cuts_the_history(tmp_path: Path) -> None:
    now_ns = time.time_ns()
    key = PartitionKey("agent", "", "ProductOwner")
    partition = Partition(key, now_ns, now_ns)
    # a baseline that has learned: the BMAD monitor's export failed from then on
    partition.baselines = {"response_time": Baseline(100, 1.5, 0.1)}
    history = [HistoryPoint(key, "response_time", now_ns - age * SECOND, 1.0, 1) for age in (7200, 1800, 60)]
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.save_settings(EngineSettings(), now_ns)
        store.commit(Commit(now_ns=now_ns, partitions={str(key): dump_partition(partition)}, history=history))

    def points(**params: str) -> int:
        document = answer(ReadModel(StoreReader(path), now_ns=lambda: now_ns), "export", params)
        assert document["agent_summaries"]["ProductOwner"]["baseline_metrics"] == {"response_time": 1.5}
        json.dumps(document)
        return len(document["history"]["ProductOwner"].get("response_time", {"points": []})["points"])

    assert (points(), points(since="1h"), points(since="10m"), points(since="0s")) == (3, 2, 1, 0)


def test_a_long_history_is_cut_at_its_old_end_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = time.time_ns()
    keys = [PartitionKey("agent", "", name) for name in ("A", "B")]
    history = [HistoryPoint(key, "response_time", i * SECOND, float(i), 1) for key in keys for i in range(1, 8)]
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.commit(
            Commit(
                now_ns=now_ns,
                partitions={str(key): dump_partition(Partition(key, now_ns, now_ns)) for key in keys},
                history=history,
            )
        )
    monkeypatch.setattr(exporting, "MAX_POINTS", 10)
    document = ReadModel(StoreReader(path)).export()
    assert document["is_truncated"] is True
    for name in ("A", "B"):
        points = document["history"][name]["response_time"]["points"]
        assert [point[0] for point in points] == [3.0, 4.0, 5.0, 6.0, 7.0]


def test_every_agent_has_a_label_of_its_own() -> None:
    names = [("", "x"), ("a", "x"), ("", "a/x"), ("b", "y")]
    keys = [PartitionKey("agent", namespace, name) for namespace, name in names]
    labels = agent_labels(keys)
    assert len(set(labels.values())) == 4
    assert [labels[key] for key in keys] == ["x", "agent/a/x", "a/x", "y"]


@pytest.mark.parametrize("since", ["1", "h", "-1h", "1h1", "", "1y", "\u0661h", "9" * 100 + "h"])
def test_since_is_a_duration(endpoint: str, since: str) -> None:
    status, body, _ = ask(endpoint, "/api/v1/export?since=" + quote(since))
    assert (status, body["error"]) == (400, "bad_parameter")


def test_export_data_to_stdout(run: Run, here: Run, endpoint: str) -> None:
    result = run("export-data", "--endpoint", endpoint)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["agent_summaries"]["ProductOwner"]["tasks_total"] == 4
    assert here("export-data", "--since", "1 hour").returncode == 2
    assert "openmetrics" in here("export-data", "--format", "xml").stderr


def test_export_data_in_every_format(here: Run, state: str, tmp_path: Path) -> None:
    def text(form: str) -> str:
        file = tmp_path / f"data.{form}"
        result = here("export-data", "--state", state, "--format", form, "--output", str(file))
        assert result.returncode == 0
        assert result.stdout == ""
        assert "5 agents, 5 points of history" in result.stderr
        return file.read_text(encoding="utf-8")

    rows = list(csv.DictReader(io.StringIO(text("csv"), newline="")))
    assert [row["value"] for row in rows if (row["agent"], row["metric"]) == ("ProductOwner", "cpu_usage")] == [
        "1.0", "2.0", "3.0", "4.0", "5.0",
    ]  # fmt: skip
    families = {family.name: family for family in text_string_to_metric_families(text("prometheus"))}
    sample = next(s for s in families["bmad_agent_tasks"].samples if s.labels["agent"] == "ProductOwner")
    assert sample.value == 4
    assert text("openmetrics").endswith("# EOF\n")
    assert len(json.loads(text("otlp-json"))["resourceMetrics"]) == 3


def test_a_file_is_written_whole_or_not_at_all(here: Run, state: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("before")
    file.chmod(0o640)
    assert here("export-data", "--state", state, "--output", str(file)).returncode == 0
    assert json.loads(file.read_text())["timestamp"] > 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    result = here("export-data", "--state", state, "--output", str(tmp_path / "nowhere" / "x.json"))
    assert result.returncode == 1
    assert "cannot write" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert here("export-data", "--state", state, "--format", "csv", "--output", str(pipe)).returncode == 0
    assert os.read(reader, 65536).startswith(b"timestamp,agent")
    os.close(reader)


def test_without_data(here: Run, closed_endpoint: str, tmp_path: Path) -> None:
    assert here("export-data", "--endpoint", closed_endpoint).returncode == 3
    path = str(tmp_path / "empty.db")
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=time.time_ns()))
    result = here("export-data", "--state", path)
    assert (result.returncode, result.stdout) == (3, "")
    assert "no agent and no host has reported yet" in result.stderr
