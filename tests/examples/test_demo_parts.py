"""The parts of the demo that need no collector: script, chronicle, signals, processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.demo.chronicle import Chronicle
from examples.demo.phases import PHASES, SCRIPT_S, Event, Pace
from examples.demo.processes import ROOT, Children, free_ports
from examples.demo.snapshot import AlertRow, HintRow, Snapshot

SLEEPER = ("examples.demo.lifeline", "timeit:main", "-n", "1", "-r", "1", "-s", "import time", "time.sleep(60)")


def alert(alert_id: str, level: str = "warning", *, is_firing: bool = True) -> AlertRow:
    return AlertRow(alert_id, "A", "error_rate", level, is_firing, 1.0, None if is_firing else 2.0, "bad", "rule")


def hint(desired: int) -> HintRow:
    return HintRow("A", 1, desired, "scale_up", "busy")


class TestScript:
    def test_is_in_order_and_every_event_happens_once(self) -> None:
        assert [p.at_s for p in PHASES] == sorted(p.at_s for p in PHASES)
        events = [p.event for p in PHASES if p.event is not None]
        assert sorted(events, key=lambda e: e.value) == list(Event)

    @pytest.mark.parametrize("seconds", [20, 25, 30, 60, 300])
    def test_windows_are_whole_and_there_is_time_for_the_last_alert_to_resolve(self, seconds: float) -> None:
        pace = Pace(seconds)
        assert pace.interval_s >= 1
        assert pace.window_s % pace.interval_s == 0
        late_s = pace.window_s + pace.interval_s + 1
        assert PHASES[-1].at_s * pace.factor + late_s < pace.script_s

    def test_a_minute_is_a_minute(self) -> None:
        assert Pace(60).script_s == SCRIPT_S
        assert Pace(60).window_s == 10
        assert Pace(60).phase_at(0) == 0
        assert Pace(60).phase_at(1000) == len(PHASES) - 1


class TestChronicle:
    def test_says_each_thing_once(self) -> None:
        chronicle = Chronicle("A")
        assert chronicle.learn(Snapshot(alerts=(alert("1"),)), 1) == ["ALERT warning: A: bad | rule"]
        assert chronicle.learn(Snapshot(alerts=(alert("1"),)), 2) == []
        assert chronicle.learn(Snapshot(alerts=(alert("1", "critical"),)), 3) == ["ALERT now critical: A: bad | rule"]
        assert chronicle.learn(Snapshot(alerts=(alert("1"),)), 4) == []
        assert chronicle.learn(Snapshot(alerts=(alert("1", is_firing=False),)), 5) == ["RESOLVED: A: bad | after 1 s"]
        assert chronicle.learn(Snapshot(alerts=(alert("1", is_firing=False),)), 6) == []

    def test_an_alert_that_came_and_went_between_two_looks_is_told_whole(self) -> None:
        lines = Chronicle("A").learn(Snapshot(alerts=(alert("1", is_firing=False),)), 1)
        assert [line.split(":")[0] for line in lines] == ["ALERT warning", "RESOLVED"]

    def test_follows_the_hint(self) -> None:
        chronicle = Chronicle("A")
        said = [chronicle.learn(Snapshot(hints=(hint(n),)), second) for second, n in enumerate((1, 1, 3, 3, 1))]
        assert [step.desired for step in chronicle.hint_course] == [1, 3, 1]
        assert [len(lines) for lines in said] == [0, 0, 1, 0, 1]
        assert said[2] == ["HINT: A needs 3 instances, has 1 | busy"]

    def test_a_first_hint_that_asks_for_more_is_news(self) -> None:
        assert Chronicle("A").learn(Snapshot(hints=(hint(2),)), 1) == ["HINT: A needs 2 instances, has 1 | busy"]


class TestChildren:
    def test_stop_asks_and_kill_does_not(self, tmp_path: Path) -> None:
        children = Children(tmp_path, {})
        for name in ("a", "b"):
            children.start(name, *SLEEPER)
        assert children.fallen() is None
        children.kill("a")
        assert children["a"].process.returncode == -signal.SIGKILL
        children.stop_all(last="b")
        assert children["b"].process.returncode == -signal.SIGTERM
        assert children.fallen() is None, "what the demo ended itself has not fallen"

    def test_a_process_that_dies_is_found_with_its_last_words(self, tmp_path: Path) -> None:
        children = Children(tmp_path, {})
        child = children.start("a", "no_such_module")
        child.process.wait(20)
        fallen = children.fallen()
        assert fallen is child
        assert "No module named no_such_module" in fallen.last_lines()[-1]
        children.stop_all(last="a")

    def test_one_that_does_not_listen_is_killed(self, tmp_path: Path) -> None:
        children = Children(tmp_path, {})
        ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
        child = children.start("a", "timeit", "-n", "1", "-r", "1", "-s", f"import time; {ignore}", "time.sleep(60)")
        while "deaf" not in child.log.read_text():
            time.sleep(0.02)
        children.stop("a", seconds=0.2)
        assert child.process.returncode == -signal.SIGKILL

    def test_nobody_outlives_the_demo(self, tmp_path: Path) -> None:
        parent = (
            "import os, sys; from pathlib import Path; from examples.demo.processes import Children;"
            f"child = Children(Path({str(tmp_path)!r}), {{}}).start('a', *{SLEEPER!r});"
            "print(child.process.pid, flush=True); os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, timeout=30)
        pid = int(done.stdout)
        deadline = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _runs(pid)

    def test_free_ports_differ(self) -> None:
        assert len(set(free_ports(4))) == 4


def test_a_signal_ends_a_wait_at_once_and_is_remembered() -> None:
    program = (
        "import os, signal, threading, time; from examples.demo.interrupt import Interrupt;"
        "i = Interrupt(); i.install(); started = time.monotonic();"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start();"
        "assert i.exit_code is None; assert i.wait(30); assert time.monotonic() - started < 10;"
        "os.kill(os.getpid(), signal.SIGTERM); assert i.wait(30); print(i.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("130\n", "")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # an orphan whose new parent has not looked yet is a zombie, which runs no more
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
