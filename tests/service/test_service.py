"""The background service as a user meets it: real processes, real ports, one state directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from bmad_processor.service import Home, find, otlp_endpoint
from tests.run.collectors import eventually

from .monitor import ANY_PORTS, Monitor, has_ended, wait_for_end


def test_every_command_finds_it(live: Monitor) -> None:
    names = eventually(lambda: {a["name"] for a in live.json("list-agents")["agents"] if a["tasks_total"]})
    assert names == {"ProductOwner", "Architect"}
    record, status = live.record(), live.json("status")
    assert status["pid"] == record["pid"]
    assert status["is_running"] is True
    assert status["uptime_s"] > 0
    assert status["agents_total"] == 2
    assert status["lost"] == {}
    shown = live("status").stdout
    assert record["api"] in shown
    assert record["otlp_grpc"] in shown
    examined = json.loads(live("doctor", "--no-measure", "--json").stdout)
    api = next(f for f in examined["findings"] if f["check"] == "api")
    assert (api["status"], api["data"]["api"]) == ("ok", record["api"])


def test_a_second_start_says_that_it_runs(live: Monitor) -> None:
    pid = live.record()["pid"]
    again = live("start-monitoring", "--interval", "7")
    assert again.returncode == 0
    assert f"Monitoring is already running: process {pid}, every 1 s." in again.stdout
    assert "it keeps its interval of 1 s; --restart applies 7 s" in again.stderr
    assert live.record()["pid"] == pid


def test_its_log(live: Monitor) -> None:
    assert " ready: api " in live("log").stdout
    assert live("log", "--lines", "0").stdout == ""
    following = live.popen("log", "--follow")
    assert following.stdout is not None
    while " ready: " not in following.stdout.readline():
        pass
    with Path(live.record()["log"]).open("a") as log:
        log.write("one more line\n")
    while following.stdout.readline() != "one more line\n":
        pass
    following.send_signal(signal.SIGINT)
    assert following.wait(20) == 0
    following.stdout.close()


def test_programs_are_told_where_to_send(live: Monitor, tmp_path: Path) -> None:
    record, home = live.record(), str(live.home)
    assert otlp_endpoint({"BMAD_OTEL_HOME": home}) == f"http://{record['otlp_grpc']}"
    by_http = {"BMAD_OTEL_HOME": home, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    assert otlp_endpoint(by_http) == f"http://{record['otlp_http']}"
    # the user's own variables decide
    assert otlp_endpoint({"BMAD_OTEL_HOME": home, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:1"}) is None
    assert otlp_endpoint({"BMAD_OTEL_HOME": str(tmp_path)}) is None


def test_debug_says_what_is_asked(live: Monitor) -> None:
    said = live("agent-summary", "ProductOwner", LOG_LEVEL="DEBUG").stderr
    assert f"DEBUG GET http://{live.record()['api']}/api/v1/agents/ProductOwner: 200, " in said
    assert live("agent-summary", "ProductOwner", LOG_LEVEL="verbose").stderr == ""


def test_it_reads_its_configuration_again(live: Monitor) -> None:
    pid, overlay = live.record()["pid"], live.home / "overlay.yaml"
    whole = overlay.read_text()
    tree = json.loads(whole.partition("\n")[2])
    try:
        assert live("reload").stdout == "The configuration is in force: nothing has changed.\n"
        overlay.write_text(whole.replace('"1000ms"', '"1000"'))
        wrong = live("reload")
        assert wrong.returncode == 2
        assert "monitoring_interval: '1000' is not understood" in wrong.stderr
        tree["extensions"]["sqlite"]["path"] = str(live.home / "other.db")
        overlay.write_text(json.dumps(tree))
        refused = live("reload")
        assert refused.returncode == 1
        assert "restart the collector for that" in refused.stderr
    finally:
        overlay.write_text(whole)
    # the API itself moves, and is found
    tree = json.loads(whole.partition("\n")[2])
    tree["extensions"]["api"]["endpoint"] = "127.0.0.1:0"
    before = live.record()["api"]
    overlay.write_text(json.dumps(tree))
    result = live.json("reload")
    assert (result["outcome"], result["message"]) == ("applied", "extension api changed")
    assert live.record()["api"] != before
    assert live.json("status")["pid"] == pid


def test_two_starts_at_once_give_one_service(monitor: Monitor) -> None:
    starts = [monitor.popen("start-monitoring", "--json", *ANY_PORTS) for _ in range(2)]
    answers = [start.communicate(timeout=100)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0], answers
    pids = {json.loads(answer[answer.index("{") : answer.rindex("}") + 1])["pid"] for answer in answers}
    assert len(pids) == 1
    running = [
        p.info for p in psutil.process_iter(["pid", "cmdline"]) if str(monitor.home) in (p.info["cmdline"] or [])
    ]
    assert [info["pid"] for info in running] == list(pids)


def test_stopped_it_is_read_from_its_database(monitor: Monitor) -> None:
    assert monitor("list-agents").returncode == 3
    assert monitor("log").returncode == 3
    assert monitor("reload").returncode == 3
    pid = monitor.start("--interval", "1", BMAD_OTEL_LOG_LEVEL="debug")["pid"]
    monitor.send("ProductOwner:3:0")
    eventually(lambda: monitor.json("list-agents")["agents"])
    eventually(lambda: "DEBUG committed " in monitor.log())
    stopped = monitor("stop-monitoring")
    assert stopped.returncode == 0
    assert stopped.stdout == f"Monitoring stopped; its state is kept in {monitor.home}.\n"
    assert has_ended(pid)
    again = monitor("stop-monitoring")
    assert (again.returncode, again.stdout) == (0, f"Monitoring is not running ({monitor.home}).\n")
    status = monitor("status")
    assert status.returncode == 3
    assert "bmad-otel start-monitoring" in status.stdout
    read = monitor("list-agents")
    assert read.returncode == 0
    assert "ProductOwner" in read.stdout
    assert f"reading {monitor.home / 'bmad-otel.db'}" in read.stderr
    # of the two files that may be meant it is the one written last
    shutil.copy(monitor.home / "bmad-otel.db", monitor.work / "bmad-otel.db")
    assert "reading ./bmad-otel.db" in monitor("list-agents").stderr
    # profiles can be changed meanwhile
    changed = monitor("update-thresholds", "ProductOwner", "cpu_usage", "--warning", "61")
    assert f"using the files in {monitor.home / 'profiles'}" in changed.stderr
    assert "61" in (monitor.home / "profiles" / "product-owner.yaml").read_text()


def test_killed_it_is_known_to_be_gone(monitor: Monitor) -> None:
    record = monitor.start()
    os.kill(record["pid"], signal.SIGKILL)
    wait_for_end(record["pid"])
    assert find(Home(monitor.home)) is None
    assert monitor("status").returncode == 3
    assert monitor.start()["pid"] != record["pid"]


def test_another_process_with_its_number_is_left_alone(monitor: Monitor) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            monitor.home.mkdir(parents=True)
            (monitor.home / "service.pid").write_text(f"{other.pid}\n{time.time() - 3600!r}\n")
            assert monitor("status").returncode == 3
            assert "not running" in monitor("stop-monitoring").stdout
            assert other.poll() is None
        finally:
            other.kill()


def test_one_that_does_not_stop_is_killed(monitor: Monitor) -> None:
    pid = monitor.start()["pid"]
    os.kill(pid, signal.SIGSTOP)
    stopped = monitor("stop-monitoring", "--timeout", "0.5")
    assert stopped.returncode == 0
    assert stopped.stdout.startswith("Monitoring was killed")
    assert f"process {pid} did not stop within 0.5 s, killing it" in stopped.stderr
    assert has_ended(pid)


def test_a_restart_keeps_edited_profiles_and_applies_the_interval(monitor: Monitor) -> None:
    first = monitor.start()
    assert first["interval_s"] == 5.0
    names = {path.name for path in (monitor.home / "profiles").iterdir()}
    assert {"default.yaml", "product-owner.yaml"} <= names
    (monitor.home / "profiles" / "own.yaml").write_text("agent: Librarian\nthresholds: {error_rate: {warning: 1%}}\n")
    (monitor.home / "profiles" / "product-owner.yaml").unlink()
    second = monitor.start("--restart", "--interval", "7")
    assert second["pid"] != first["pid"]
    assert has_ended(first["pid"])
    assert second["interval_s"] == 7.0
    assert json.loads(monitor("validate", "--json", *_configs(second)).stdout)["is_valid"] is True
    overlay = (monitor.home / "overlay.yaml").read_text()
    assert '"evaluation_window": "63000ms"' in overlay  # the next whole multiple of 7 s
    assert {path.name for path in (monitor.home / "profiles").iterdir()} == names - {"product-owner.yaml"} | {
        "own.yaml"
    }
    # a profile with an error is named before anything is stopped
    (monitor.home / "profiles" / "own.yaml").write_text("agent: Librarian\nthresholds: {error_rate: {warning: 101%}}\n")
    refused = monitor("start-monitoring", "--restart", *ANY_PORTS)
    assert refused.returncode == 2
    assert "own.yaml:2" in refused.stderr
    assert monitor.json("status")["pid"] == second["pid"]


def _configs(record: dict[str, list[str]]) -> list[str]:
    return [part for config in record["configs"] for part in ("--config", config)]


def test_own_configuration_files(monitor: Monitor) -> None:
    (monitor.work / "mine.yaml").write_text(
        "receivers: {otlp/mine: {protocols: {grpc: {endpoint: 'localhost:0'}}}}\n"
        "processors: {agent_performance: {monitoring_interval: 2s, evaluation_window: 10s}}\n"
        "exporters: {debug: {}}\n"
        "service:\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp/mine], processors: [agent_performance], exporters: [debug]}\n"
    )
    done = monitor("start-monitoring", "--config", "mine.yaml", "--interval", "3", "--api", "localhost:0", "--json")
    assert done.returncode == 2  # it has no store, which agent_performance needs: said with file and line
    assert "mine.yaml" in done.stderr
    text = (
        (monitor.work / "mine.yaml")
        .read_text()
        .replace("service:\n", "extensions: {sqlite: {path: elsewhere.db}}\nservice:\n  extensions: [sqlite]\n")
    )
    (monitor.work / "mine.yaml").write_text(text)
    done = monitor("start-monitoring", "--config", "mine.yaml", "--interval", "3", "--api", "localhost:0", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["otlp_http"] is None
    assert record["interval_s"] == 3.0
    assert record["configs"][0] == str(monitor.work / "mine.yaml")
    assert (monitor.home / "bmad-otel.db").exists()
    assert not (monitor.work / "elsewhere.db").exists()


def test_a_taken_port_is_named_with_who_has_it(monitor: Monitor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = ("--grpc", "localhost:0", "--http", f"localhost:{port}", "--api", "localhost:0")
        refused = monitor("start-monitoring", *ports)
    assert refused.returncode == 1
    assert f"localhost:{port} (OTLP/HTTP) is taken by process {os.getpid()} (" in refused.stderr
    assert "--http host:port" in refused.stderr
    assert monitor("status").returncode == 3


@pytest.mark.parametrize(
    "args",
    [("--interval", "0.5"), ("--interval", "61"), ("--interval", "nan"), ("--interval", "soon"), ("--grpc", "4317"),
     ("--config", "missing.yaml")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_options_start_nothing(monitor: Monitor, args: tuple[str, str]) -> None:
    refused = monitor("start-monitoring", *args)
    assert refused.returncode == 2
    assert refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (monitor.home / "service.pid").exists()


def test_in_the_foreground(monitor: Monitor) -> None:
    child = monitor.popen("start-monitoring", "--foreground", *ANY_PORTS)
    assert child.stdout is not None
    while not (line := child.stdout.readline()).startswith("Monitoring started"):
        assert line, "it has ended"
    assert f"process {child.pid}" in line
    assert monitor.json("status")["pid"] == child.pid
    second = monitor("start-monitoring", "--foreground", *ANY_PORTS)
    assert second.returncode == 1
    assert "--restart takes its place" in second.stderr
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
    child.stdout.close()
    assert not (monitor.home / "service.json").exists()
    assert monitor("status").returncode == 3


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"BMAD_OTEL_HOME": "/a/b", "XDG_STATE_HOME": "/x"}, "/a/b"),
        ({"XDG_STATE_HOME": "/x"}, "/x/bmad-otel"),
        ({"XDG_STATE_HOME": "relative"}, str(Path.home() / ".local/state/bmad-otel")),
        ({}, str(Path.home() / ".local/state/bmad-otel")),
    ],
)
def test_where_the_state_is(environ: dict[str, str], path: str) -> None:
    assert str(Home.of(environ).path) == path
