"""File, debug and console: what they write."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.emit import (
    ConsoleConfig,
    ConsoleWriter,
    DebugConfig,
    Exporter,
    ExportRequest,
    FileConfig,
    build_exporter,
    render_event,
    render_hint,
)
from bmad_processor.emit.console import duration
from bmad_processor.errors import StartError
from bmad_processor.fields import Config
from bmad_processor.log_lines import UNSAMPLED
from bmad_processor.model import AlertEventKind, Level, Signal
from bmad_processor.receive import to_protobuf

from . import examples
from .peers import REQUESTS, eventually, spans_body
from .samples import a_hint, an_event

MESSAGES = [
    (Signal.TRACES, examples.TRACE_MESSAGE),
    (Signal.METRICS, examples.METRICS_MESSAGE),
    (Signal.LOGS, examples.LOGS_MESSAGE),
    (Signal.LOGS, examples.EVENTS_MESSAGE),
]


def export(exporter: Exporter, *requests: ExportRequest) -> dict[str, int]:
    exporter.start()
    assert all(exporter.offer(request) for request in requests)
    exporter.stop(10)
    return exporter.counters()


def test_file_reads_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    requests = [ExportRequest(signal, message.SerializeToString(), 1) for signal, message in MESSAGES]
    assert export(build_exporter("file", "file", FileConfig(path=str(path))), *requests)["sent_requests"] == 4
    export(build_exporter("file", "file", FileConfig(path=str(path))), requests[0])  # appends
    lines = path.read_bytes().splitlines()
    assert len(lines) == 5
    for line, (signal, message) in zip(lines, [*MESSAGES, MESSAGES[0]], strict=True):
        assert REQUESTS[signal].FromString(to_protobuf(signal, line)) == message


def test_file_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    exporter = build_exporter("file", "file", FileConfig(path=str(path)))
    exporter.start()
    exporter.offer(ExportRequest(Signal.TRACES, spans_body(), 1))
    eventually(lambda: path.exists() and path.read_bytes().endswith(b"\n"))
    exporter.stop(1)


@pytest.mark.parametrize("backups", [0, 1, 3])
def test_file_rotation_is_bounded_and_loses_no_line_before_its_time(tmp_path: Path, backups: int) -> None:
    path = tmp_path / "out.jsonl"
    body = spans_body(name="x" * 400_000)
    requests = [ExportRequest(Signal.TRACES, body, 1)] * 11
    export(build_exporter("file", "file", FileConfig(path=str(path), max_megabytes=1, max_backups=backups)), *requests)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["out.jsonl", *(f"out.jsonl.{n}" for n in range(1, backups + 1))]
    counts = [len((tmp_path / name).read_bytes().splitlines()) for name in names]
    assert counts == [1, *[2] * backups]  # two lines fit into a megabyte
    for name in names:
        for line in (tmp_path / name).read_text().splitlines():
            json.loads(line)


def test_a_pipe_or_device_is_never_set_aside(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []

    def read() -> None:
        with pipe.open("rb") as stream:
            got.extend(stream)

    reader = threading.Thread(target=read)
    reader.start()
    big = ExportRequest(Signal.TRACES, spans_body(name="x" * 700_000), 1)
    export(build_exporter("file", "file", FileConfig(path=str(pipe), max_megabytes=1)), big, big, big)
    reader.join(10)
    assert len(got) == 3
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()


def test_file_that_cannot_be_written_is_a_start_error(tmp_path: Path) -> None:
    exporter = build_exporter("file", "file", FileConfig(path=str(tmp_path / "no" / "such" / "x")))
    with pytest.raises(StartError, match="no/such/x"):
        exporter.start()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    real_write, calls = os.write, []

    def write(fd: int, data: Any) -> int:
        if len(data) < 50:
            return real_write(fd, data)
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real_write(fd, data[: 20 if len(calls) == 1 else None])

    monkeypatch.setattr(os, "write", write)
    config = FileConfig(path=str(path))
    counters = export(build_exporter("file", "file", config), ExportRequest(Signal.TRACES, spans_body(2), 2))
    assert (counters["sent_items"], counters["retries"]) == (2, 1)
    assert len(path.read_text().splitlines()) == 1
    json.loads(path.read_text())


def test_file_refuses_garbage_for_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exporter = build_exporter("file", "file", FileConfig(path=str(tmp_path / "x")))
    assert export(exporter, ExportRequest(Signal.TRACES, b"\xff", 3))["failed_items_permanent"] == 3


def test_debug_says_one_line_or_everything(caplog: pytest.LogCaptureFixture) -> None:
    request = ExportRequest(Signal.TRACES, spans_body(2, name="find me"), 2)
    with caplog.at_level(logging.INFO, logger=UNSAMPLED):
        export(build_exporter("debug", "debug", DebugConfig()), request)
        # of its own log only: threads of other tests may still have something to say
        assert [r.getMessage() for r in caplog.records if r.name == UNSAMPLED] == [
            f"debug: traces, 2 items, {len(request.body)} bytes"
        ]
        export(build_exporter("debug", "debug", DebugConfig(verbosity="detailed")), request)
        assert 'name: "find me"' in caplog.text
        export(
            build_exporter("debug", "debug", DebugConfig(verbosity="detailed")), ExportRequest(Signal.LOGS, b"\xff", 1)
        )
        assert "cannot be decoded" in caplog.text


def test_unknown_type() -> None:
    with pytest.raises(ValueError, match="kafka"):
        build_exporter("kafka", "kafka", Config())


# Console --------------------------------------------------------------------------------------------------------------


def test_a_fired_alert_on_one_line() -> None:
    line = render_event(an_event(), color=False)
    assert line[8:] == " ▲ WARNING   dev: Response time 6.20s > 5.00s (baseline 1.24s, 5.0x, n=42)"


def test_escalated_and_resolved() -> None:
    assert "‼ EMERGENCY dev: now emergency: " in render_event(
        an_event(AlertEventKind.ESCALATED, level=Level.EMERGENCY), color=False
    )
    line = render_event(an_event(AlertEventKind.RESOLVED, after_s=42), color=False)
    assert "✔ RESOLVED  dev: " in line
    assert line.endswith(", resolved after 42s")


def test_without_baseline_and_with_a_note() -> None:
    assert render_event(an_event(baseline=None, note="no data"), color=False).endswith("(n=42, no data)")
    assert "x, n=" not in render_event(an_event(baseline=0.0), color=False)


def test_names_of_senders_cannot_write_escapes() -> None:
    line = render_event(an_event(agent="a\x1b[2J\nb"), color=False)
    assert "\x1b" not in line
    assert "\n" not in line


def test_a_hint_on_one_line() -> None:
    assert render_hint(a_hint(), color=False)[8:] == (
        " ↑ SCALING   dev: dev needs 4 instances, has 2: cpu_usage 1.5 of 0.75"
    )


def test_color_only_where_asked_for() -> None:
    for color, is_colored in (("always", True), ("never", False), ("auto", False)):
        stream = io.StringIO()
        ConsoleWriter(ConsoleConfig(color=color), stream).write([an_event()], [a_hint()])  # type: ignore[arg-type]
        assert ("\x1b[" in stream.getvalue()) is is_colored
        assert stream.getvalue().count("\n") == 2


def test_a_stream_that_is_gone_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    writer = ConsoleWriter(ConsoleConfig(), stream)
    stream.close()
    writer.write([an_event()], [])
    writer.write([an_event()], [])
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (42.4, "42s"), (59.6, "1m00s"), (185, "3m05s"), (7800, "2h10m"), (-5, "0s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(round(seconds * 1e9)) == text
