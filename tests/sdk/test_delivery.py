"""What becomes of telemetry when the receiver is away, refuses, or comes back: counted, kept on disk, said once."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from .receivers import GrpcReceiver, HttpReceiver

RunPython = Callable[..., CompletedProcess[str]]

PROGRAM = """
    import json, os
    from bmad_otel import configure, diagnostics, force_flush, shutdown, track_task

    configure(endpoint={endpoint!r}, protocol={protocol!r}, host_metrics=False, spool_directory={spool!r},
              metric_export_interval_s=3600)

    @track_task(agent="Research")
    def read(n): pass

    for n in range({tasks}):
        read(n)
    shutdown()
    found = diagnostics()
    print(json.dumps({{
        "spool_bytes": found.spool_bytes, "internal_errors": found.internal_errors,
        **{{name: {{"exported": s.exported, "dropped": dict(s.dropped), "spooled": s.spooled, "waiting": s.waiting,
                    "endpoint": s.endpoint, "protocol": s.protocol, "last": s.last_export_unix_ns is not None,
                    "error": s.last_error}} for name, s in found.signals.items()}},
    }}))
"""


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def told(result: CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("receiver", "protocol"), [(GrpcReceiver, "grpc"), (HttpReceiver, "http/protobuf")])
def test_what_arrives_is_counted(run_python: RunPython, receiver: Any, protocol: str) -> None:
    with receiver() as received:
        program = PROGRAM.format(endpoint=received.endpoint, protocol=protocol, spool=None, tasks=3000)
        result = run_python(program, OTEL_BSP_MAX_QUEUE_SIZE="5000")
        found = told(result)
        assert len(received.spans()) == found["traces"]["exported"] == 3000
    assert found["traces"]["endpoint"].removesuffix("/v1/traces") == received.endpoint
    assert found["traces"]["protocol"] == protocol
    assert found["traces"]["last"]
    for signal in ("traces", "metrics"):
        assert (found[signal]["dropped"], found[signal]["waiting"], found[signal]["error"]) == ({}, 0, None)
    assert (found["spool_bytes"], found["internal_errors"]) == (0, 0)
    assert result.stderr == ""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_lost_is_counted_and_said_once(run_python: RunPython, dead_port: int, protocol: str) -> None:
    program = PROGRAM.format(endpoint=f"http://127.0.0.1:{dead_port}", protocol=protocol, spool=None, tasks=5000)
    result = run_python(program)
    found = told(result)["traces"]
    assert found["exported"] == found["waiting"] == 0
    assert sum(found["dropped"].values()) == 5000
    assert found["dropped"]["queue_full"] >= 5000 - 2048 - 512  # the queue, and a batch on its way
    assert found["error"]
    assert result.stderr.count("dropped in this run") == 1
    assert result.stderr.count("spans wait to be sent") == 1
    assert len(result.stderr.splitlines()) <= 4


class TestSpool:
    @pytest.mark.parametrize(("receiver", "protocol"), [(GrpcReceiver, "grpc"), (HttpReceiver, "http/protobuf")])
    def test_what_one_run_could_not_send_the_next_one_does(
        self, run_python: RunPython, tmp_path: Path, dead_port: int, receiver: Any, protocol: str
    ) -> None:
        spool = tmp_path / "spool"
        dead = f"http://127.0.0.1:{dead_port}"
        first = told(run_python(PROGRAM.format(endpoint=dead, protocol=protocol, spool=str(spool), tasks=700)))
        assert first["traces"]["spooled"] == 700
        assert first["traces"]["dropped"] == {}
        assert first["spool_bytes"] > 0
        for path in spool.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        # the second program is the same, with a receiver, and waits until the disk is empty
        program = PROGRAM.format(endpoint="{endpoint}", protocol=protocol, spool=str(spool), tasks=1).replace(
            "    shutdown()\n",
            "    import time\n    deadline = time.monotonic() + 20\n"
            "    while diagnostics().spool_bytes and time.monotonic() < deadline:\n"
            "        read(0); force_flush(); time.sleep(0.02)\n"
            "    shutdown()\n",
        )
        with receiver() as received:
            second = told(run_python(program.replace("{endpoint}", received.endpoint)))
            assert second["spool_bytes"] == 0
            assert len(received.spans()) == second["traces"]["exported"]
            ids = [span.span_id for span in received.spans()]
        assert len(ids) == len(set(ids)) > 700
        assert list(spool.iterdir()) == []

    def test_the_oldest_goes_first_and_is_counted(self, run_python: RunPython, tmp_path: Path, dead_port: int) -> None:
        spool = tmp_path / "spool"
        program = PROGRAM.format(
            endpoint=f"http://127.0.0.1:{dead_port}", protocol="http/protobuf", spool=str(spool), tasks=20_000
        ).replace("metric_export_interval_s=3600", "metric_export_interval_s=3600, spool_max_bytes=1 << 20")
        found = told(run_python(program, OTEL_BSP_MAX_QUEUE_SIZE="30000"))
        assert 0 < found["spool_bytes"] <= 1 << 20
        dropped = sum(found["traces"]["dropped"].values())
        assert dropped > 0
        assert found["traces"]["spooled"] + found["traces"]["dropped"].get("queue_full", 0) >= 20_000 - dropped

    def test_a_damaged_file_is_put_aside_and_the_others_are_sent(
        self, run_python: RunPython, tmp_path: Path, dead_port: int
    ) -> None:
        spool = tmp_path / "spool"
        dead = f"http://127.0.0.1:{dead_port}"
        run_python(PROGRAM.format(endpoint=dead, protocol="http/protobuf", spool=str(spool), tasks=10))
        (good,) = [path for path in spool.iterdir() if path.name.endswith("-traces.otlp")]
        damaged = good.with_name("0" + good.name)
        damaged.write_bytes(good.read_bytes()[:-5] + b"wrong")
        with HttpReceiver() as received:
            program = PROGRAM.format(endpoint=received.endpoint, protocol="http/protobuf", spool=str(spool), tasks=1)
            result = run_python(
                program.replace("    shutdown()", "    force_flush(); read(1); force_flush(); shutdown()")
            )
            assert result.returncode == 0, result.stderr
            assert len(received.spans()) == 12
        assert [path.name for path in spool.iterdir()] == [damaged.name + ".corrupt"]
        assert result.stderr.count("is damaged and put aside") == 1

    @pytest.mark.parametrize(
        ("keywords", "error", "words"),
        [
            ("spool_directory=5", "TypeError", "spool_directory must be a str"),
            ("spool_directory=''", "ValueError", "spool_directory must not be empty"),
            ("spool_max_bytes='1'", "TypeError", "spool_max_bytes must be a whole number"),
            ("spool_max_bytes=10", "ValueError", "spool_max_bytes must be 1048576 bytes or more"),
        ],
    )
    def test_wrong_arguments(self, run_python: RunPython, keywords: str, error: str, words: str) -> None:
        result = run_python(f"from bmad_otel import configure\nconfigure({keywords})")
        assert f"{error}: configure: {words}" in result.stderr


def test_a_receiver_that_comes_back_gets_what_waited(run_python: RunPython, dead_port: int) -> None:
    """Without a spool spans wait in memory; the program goes on meanwhile."""
    program = """
        import http.server, threading, time
        from bmad_otel import configure, diagnostics, shutdown, track_task
        configure(endpoint="http://127.0.0.1:{port}", host_metrics=False, protocol="http/protobuf")

        @track_task(agent="Research")
        def read(): pass

        for _ in range(100): read()
        deadline = time.monotonic() + 20
        while not diagnostics().signals["traces"].failed_requests and time.monotonic() < deadline: time.sleep(0.01)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
            def log_message(self, *_): pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while diagnostics().signals["traces"].exported < 100 and time.monotonic() < deadline: time.sleep(0.01)
        found = diagnostics().signals["traces"]
        print(found.exported, dict(found.dropped))
        shutdown()
    """
    result = run_python(program.format(port=dead_port))
    assert result.stdout.strip() == "100 {}", result.stderr


def test_a_refusal_is_counted_as_such(run_python: RunPython) -> None:
    program = """
        import http.server, threading
        from bmad_otel import configure, diagnostics, force_flush, shutdown, track_task

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(400); self.send_header("Content-Length", "0"); self.end_headers()
            def log_message(self, *_): pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        configure(endpoint=f"http://127.0.0.1:{server.server_port}", host_metrics=False, protocol="http/protobuf")
        track_task(agent="Research")(lambda: None)()
        print(force_flush())
        print(dict(diagnostics().signals["traces"].dropped))
        shutdown()
    """
    result = run_python(program)
    assert result.stdout.splitlines() == ["False", "{'export_failed': 1}"], result.stderr
    assert result.stderr.count("does not take what is sent: 400") <= 1


@pytest.mark.parametrize("opt_in", ["logs", "logs/dup"])
def test_exceptions_as_log_records_reach_the_receiver(run_python: RunPython, opt_in: str) -> None:
    with HttpReceiver() as received:
        program = """
            from bmad_otel import configure, shutdown, track_task
            configure(endpoint={endpoint!r}, protocol="http/protobuf", host_metrics=False)

            @track_task(agent="Research")
            def read(): raise ValueError("no paper")

            try: read()
            except ValueError: pass
            shutdown()
        """
        result = run_python(program.format(endpoint=received.endpoint), OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=opt_in)
        assert (result.returncode, result.stderr) == (0, "")
        (request,) = received.requests["logs"]
        (record,) = request.resource_logs[0].scope_logs[0].log_records
        (span,) = received.spans()
    assert record.event_name == "gen_ai.invoke_agent.exception"
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert [event.name for event in span.events] == (["exception"] if opt_in == "logs/dup" else [])


def test_a_forked_child_is_a_process_of_its_own(run_python: RunPython) -> None:
    """Pid, instance and counts of the child are its own, on spans and metrics alike."""
    program = """
        import os
        from bmad_otel import configure, diagnostics, shutdown, track_task
        configure(endpoint={endpoint!r}, protocol={protocol!r}, host_metrics=False, metric_export_interval_s=3600)

        @track_task(agent="Research")
        def read(): pass

        for _ in range(5): read()
        child = os.fork()
        for _ in range(3 if child == 0 else 2): read()
        shutdown(10)
        if child == 0:
            os._exit(diagnostics().signals["traces"].exported != 3)
        print(os.getpid(), child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    for receiver, protocol in ((GrpcReceiver, "grpc"), (HttpReceiver, "http/protobuf")):
        with receiver() as received:
            result = run_python(program.format(endpoint=received.endpoint, protocol=protocol), PYTHONWARNINGS="ignore")
            parent, child, code = (int(word) for word in result.stdout.split())
            assert code == 0, result.stderr
            counts: dict[int, int] = {}
            instances: dict[int, set[str]] = {}
            for request in received.requests["metrics"]:
                for part in request.resource_metrics:
                    who = {pair.key: pair.value for pair in part.resource.attributes}
                    pid = who["process.pid"].int_value
                    instances.setdefault(pid, set()).add(who["service.instance.id"].string_value)
                    for scope in part.scope_metrics:
                        for metric in scope.metrics:
                            if metric.name == "gen_ai.invoke_agent.duration":
                                counts[pid] = metric.exponential_histogram.data_points[0].count
            for resource in received.resources("traces"):
                instances.setdefault(resource["process.pid"], set()).add(resource["service.instance.id"])
            assert counts == {parent: 7, child: 3}
            assert len(received.spans()) == 10
            assert {pid: len(found) for pid, found in instances.items()} == {parent: 1, child: 1}
            assert instances[parent] != instances[child]
