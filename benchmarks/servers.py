"""The servers that are compared, each a process of its own on free ports, and a backend that counts."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


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

    @property
    def pid(self) -> int:
        return self.process.pid


def started(command: list[str], folder: Path, grpc_port: int, http_port: int = 0, **environ: str) -> Server:
    """Waits until it listens."""
    log = folder / f"{grpc_port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=folder, env={**os.environ, **environ}
        )
    for port in (grpc_port, http_port) if http_port else (grpc_port,):
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
    return Server(process, grpc_port, http_port)


def ours(folder: Path, backend_port: int) -> Server:
    """This collector as the command line starts it: baselines and alerts on, forwarding without compression."""
    grpc_port, http_port = free_port(), free_port()
    config = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{grpc_port}"},
                    "http": {"endpoint": f"127.0.0.1:{http_port}"},
                }
            }
        },
        "processors": {"agent_performance": {}},
        "exporters": {
            "otlp_grpc": {
                "endpoint": f"127.0.0.1:{backend_port}",
                "compression": "none",
                "tls": {"insecure": True},
                "sending_queue": {"queue_size": 10000, "max_bytes": "256MiB"},
            }
        },
        "extensions": {"sqlite": {"path": str(folder / f"{grpc_port}.db")}},
        "service": {
            "extensions": ["sqlite"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["agent_performance"], "exporters": ["otlp_grpc"]}
            },
        },
    }
    path = folder / f"{grpc_port}.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "bmad_processor", "collector", "--config", str(path)]
    return started(command, folder, grpc_port, http_port)


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


def answers_only(folder: Path, kind: str = "floor") -> Server:
    """A grpcio server with a raw-bytes handler: ``floor`` drops what it gets."""
    port = free_port()
    return started([sys.executable, __file__, kind, str(port), str(folder / f"{port}.count")], folder, port)


class Backend:
    """Counts the spans it is sent, in a file that everybody can read."""

    def __init__(self, folder: Path) -> None:
        self.server = answers_only(folder, "backend")
        self._path = folder / f"{self.server.grpc_port}.count"

    @property
    def port(self) -> int:
        return self.server.grpc_port

    def count(self) -> int:
        """Spans received so far."""
        return int.from_bytes(self._path.read_bytes(), "little") if self._path.exists() else 0

    def wait_for(self, n_spans: int, timeout_s: float) -> int:
        """Waits until so many have come in all; what has come by then."""
        deadline = time.monotonic() + timeout_s
        while (n := self.count()) < n_spans and time.monotonic() < deadline:
            time.sleep(0.02)
        return n


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


def _serve(kind: str, port: int, count_file: Path) -> None:
    """Runs in the process of `answers_only`."""
    from bmad_processor.decode import wire

    n = 0
    count_file.write_bytes(bytes(8))
    out = os.open(count_file, os.O_WRONLY)

    def handle(body: bytes, _: grpc.ServicerContext) -> bytes:
        nonlocal n
        if kind == "backend":
            for resource_spans in wire.TraceRequest.FromString(body).resource_spans:
                n += sum([len(scope.spans) for scope in resource_spans.scope_spans])
            os.pwrite(out, n.to_bytes(8, "little"), 0)
        return b""

    class Everything(grpc.GenericRpcHandler):
        def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(handle)

    options = [("grpc.max_receive_message_length", 256 * 2**20)]
    server = grpc.server(futures.ThreadPoolExecutor(1), options=options)
    server.add_generic_rpc_handlers([Everything()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
