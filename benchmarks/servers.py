"""The collectors that are measured and compared, each a process of its own on free ports, until they are stopped.

Servers of a few lines are in `small_servers`, what sends to all of them in `senders`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """CPU time of a whole process, from its own clock in the kernel: nanoseconds instead of the 10 ms of /proc."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) gives on Linux


@dataclass
class Server:
    """A running process that takes OTLP."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    http_port: int = 0
    api_port: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def rss_mib(self) -> float:
        """What it has in memory now."""
        return psutil.Process(self.pid).memory_info().rss / 2**20

    def cpu_seconds(self) -> float:
        """CPU time used so far."""
        return cpu_seconds(self.pid)

    def status(self) -> dict[str, Any]:
        """What the API of one of ours says of it."""
        with urlopen(f"http://127.0.0.1:{self.api_port}/api/v1/status", timeout=10) as answer:
            return dict(json.load(answer))


def started(command: list[str], folder: Path, grpc_port: int, http_port: int = 0, api_port: int = 0) -> Server:
    """Waits until it listens."""
    log = folder / f"{grpc_port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=folder)
    for port in filter(None, (grpc_port, http_port, api_port)):
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
    return Server(process, grpc_port, http_port, api_port)


def ours(
    folder: Path,
    backend_port: int,
    *,
    over: str = "otlp_grpc",
    exporter: Mapping[str, Any] | None = None,
    performance: Mapping[str, Any] | None = None,
    judges: bool = True,
    tells: bool = False,
    workers: int = 1,
) -> Server:
    """This collector as the command line starts it: baselines and alerts on, forwarding without compression.

    ``exporter`` and ``performance``: options of the exporter (of the type ``over``) and of `agent_performance` beyond
    that. ``judges``: False only forwards. ``tells``: alerts go to the backend too, by an exporter of their own.
    """
    grpc_port, http_port, api_port = free_port(), free_port(), free_port()
    listen = "127.0.0.1:{}".format
    forwarding = {
        "endpoint": f"http://{listen(backend_port)}" if over == "otlp_http" else listen(backend_port),
        "compression": "none",
        "tls": {"insecure": True},
        "sending_queue": {"queue_size": 10000, "max_bytes": "256MiB"},
        **(exporter or {}),
    }
    processors = {"agent_performance": dict(performance or {})} if judges else {}
    exporters = {over: forwarding} | ({f"{over}/alerts": forwarding} if tells else {})
    pipelines = {"traces": {"receivers": ["otlp"], "processors": list(processors), "exporters": [over]}}
    if tells:
        pipelines["logs"] = {"receivers": ["otlp"], "exporters": [f"{over}/alerts"]}
    config = {
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": listen(grpc_port)}, "http": {"endpoint": listen(http_port)}}}
        },
        "processors": processors,
        "exporters": exporters,
        "extensions": {"sqlite": {"path": str(folder / f"{grpc_port}.db")}, "api": {"endpoint": listen(api_port)}},
        "service": {"workers": workers, "extensions": ["sqlite", "api"], "pipelines": pipelines},
    }
    path = folder / f"{grpc_port}.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "bmad_processor", "collector", "--config", str(path)]
    return started(command, folder, grpc_port, http_port, api_port)


def rotel_binary() -> Path | None:
    """The agent in the wheel ``rotel`` (extra ``bench``), None when it is not installed."""
    spec = importlib.util.find_spec("rotel")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "rotel-agent"
    return path if path.is_file() else None


def rotel(binary: Path, folder: Path, backend_port: int) -> Server:
    """Its defaults (batches of 8192 spans or 200 ms), forwarding without compression."""
    grpc_port, http_port = free_port(), free_port()
    command = [
        str(binary), "start", "--pid-file", str(folder / "rotel.pid"), "--log-file", str(folder / "rotel.log"),
        "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}", "--otlp-http-endpoint", f"127.0.0.1:{http_port}",
        "--exporter", "otlp", "--otlp-exporter-protocol", "grpc", "--otlp-exporter-compression", "none",
        "--otlp-exporter-endpoint", f"http://127.0.0.1:{backend_port}",
    ]  # fmt: skip
    return started(command, folder, grpc_port, http_port)


def stock(binary: Path, folder: Path, backend_port: int) -> Server:
    """The stock Collector with the batching that its documentation recommends, forwarding without compression."""
    grpc_port, http_port = free_port(), free_port()
    config = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{grpc_port}", "max_recv_msg_size_mib": 64},
                    "http": {"endpoint": f"127.0.0.1:{http_port}"},
                }
            }
        },
        "processors": {"batch": {}},
        "exporters": {
            "otlp": {"endpoint": f"127.0.0.1:{backend_port}", "compression": "none", "tls": {"insecure": True}}
        },
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlp"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    path = folder / f"stock-{grpc_port}.yaml"
    path.write_text(json.dumps(config))
    return started([str(binary), "--config", str(path)], folder, grpc_port, http_port)


@contextlib.contextmanager
def stopping(*servers: Server) -> Iterator[None]:
    """Ends the servers afterwards."""
    try:
        yield
    finally:
        for server in servers:
            server.process.terminate()
        for server in servers:
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
