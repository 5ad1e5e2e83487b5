"""`bmad-otel doctor` against real servers: collectors, receivers of one protocol, and what else may be at a port."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from bmad_processor.cli.doctor import Status, settings_of
from bmad_processor.cli.doctor.environment import examine_environment
from bmad_processor.cli.doctor.sending import examine_sending
from bmad_processor.errors import Overloaded, Unserved
from bmad_processor.model import Signal
from bmad_processor.read_model import ReadModel
from bmad_processor.receive import ACCEPTED, Accepted, AsgiServer, GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver
from bmad_processor.store import StoreReader
from bmad_processor.web import build_api
from tests.edges.peers import grpc_backend, http_backend
from tests.run.collectors import FAST, Api, Process, eventually, write_config
from tests.run.otlp import post, tasks

PROGRAM = Path(sys.executable).with_name("bmad-otel")


@dataclass
class Report:
    """What one run has said."""

    code: int
    findings: list[dict[str, Any]]
    output: str

    def __getitem__(self, check: str) -> dict[str, Any]:
        (found,) = [finding for finding in self.findings if finding["check"] == check]
        return found

    def statuses(self, area: str = "sending") -> dict[str, str]:
        return {f["check"]: f["status"] for f in self.findings if f["area"] == area}

    def says(self, check: str, status: str, *words: str) -> None:
        found = self[check]
        said = f"{found['detail']} -> {found['advice']}"
        assert found["status"] == status, said
        for word in words:
            assert word in said


def run(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "BMAD_OTEL_"))}
    return subprocess.run(
        [str(PROGRAM), "doctor", *args],
        env=clean | {"COLUMNS": "300", "NO_PROXY": "*"} | environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def doctor(*args: str, **environ: str) -> Report:
    done = run("--json", "--no-measure", "--timeout", "2", *args, **environ)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["is_ok"] == (done.returncode == 0)
    return Report(done.returncode, said["findings"], done.stdout)


class Taking:
    """A consumer that takes everything, or answers a signal with an error."""

    may_wait = False

    def __init__(self, **errors: Exception) -> None:
        self._errors = errors

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        if signal.value in self._errors:
            raise self._errors[signal.value]
        return ACCEPTED


@contextmanager
def grpc_only(host: str = "127.0.0.1", **errors: Exception) -> Iterator[str]:
    receiver = GrpcReceiver(GrpcConfig(endpoint=f"{host}:0"), Taking(**errors))
    receiver.start()
    try:
        yield receiver.endpoint
    finally:
        receiver.stop(2)


@contextmanager
def http_only(**errors: Exception) -> Iterator[str]:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0"), Taking(**errors))
    receiver.start()
    try:
        yield receiver.endpoint
    finally:
        receiver.stop(2)


@contextmanager
def listening(greeting: bytes | None) -> Iterator[str]:
    """A server that takes connections and says only ``greeting``, or nothing."""
    stopped = threading.Event()
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                held.append(connection)
                if greeting is not None:
                    connection.sendall(greeting)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()
            for connection in held:
                connection.close()


@contextmanager
def web_server(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Page(http.server.BaseHTTPRequestHandler):
    """A web site that has a page for everything."""

    server_version = "Evil\x1b[2J/1"

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *_: object) -> None: ...


class FilesOnly(http.server.SimpleHTTPRequestHandler):
    """python -m http.server: it knows no POST."""

    def log_message(self, *_: object) -> None: ...


# The collector ------------------------------------------------------------------------------------------------------


@dataclass
class Running:
    grpc: str
    http: str
    api: str


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real process, with a profiled agent that is well, one without a profile that fails, and a refused request."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "writer.yaml").write_text(json.dumps({"agent": "Writer"}))
    config = write_config(folder, performance={**FAST, "profiles": ["everyone.yaml", "writer.yaml"]})
    with Process(config, log=folder / "log") as process:
        at = process.endpoints()
        running = Running(at["otlp/grpc"], at["otlp/http"], at["api"])
        api = Api(running.api)

        def is_firing() -> bool:
            post(running.http, Signal.TRACES, tasks("Reader", 5, is_error=True))
            return any(alert["status"] == "firing" for alert in api.alerts())

        post(running.http, Signal.TRACES, tasks("Writer", 3))
        assert post(running.http, Signal.TRACES, b"\xff not protobuf")[0] == 400
        eventually(is_firing)
        yield running
        process.stop()


def test_all_is_well_over_grpc(collector: Running) -> None:
    report = doctor("--endpoint", f"http://{collector.grpc}", "--api", collector.api)
    assert report.code == 0
    assert report.statuses() == dict.fromkeys(("endpoint", "name", "port", "traces", "metrics"), "ok")
    assert report["traces"]["detail"] == "taken by gRPC"
    report.says("api", "ok", "bmad-otel 0.", collector.api)


def test_all_is_well_over_http(collector: Running) -> None:
    report = doctor("--endpoint", f"http://{collector.http}", "--protocol", "http/protobuf", "--api", collector.api)
    assert report.code == 0
    assert report.statuses() == dict.fromkeys(("endpoint", "name", "port", "traces", "metrics"), "ok")
    report.says("metrics", "ok", "taken by OTLP/HTTP")


def test_what_the_collector_knows(collector: Running) -> None:
    report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.grpc}", BMAD_OTEL_ENDPOINT=collector.api)
    report.says("data", "ok", "Reader", "Writer", " ago")
    assert {row["agent"]: row["is_active"] for row in report["data"]["data"]["agents"]} == {
        "Reader": True,
        "Writer": True,
    }
    report.says("profiles", "warning", "Reader")
    assert report["profiles"]["data"]["unprofiled"] == ["Reader"]
    report.says("losses", "warning", "refused_requests_malformed", "refused_400: 1", "what is not OTLP")
    report.says("alerts", "warning", "1 emergency", "bmad-otel show-alerts")
    assert report.code == 0


def test_the_wrong_protocol(collector: Running) -> None:
    report = doctor("--endpoint", f"http://{collector.http}", "--api", collector.api)
    assert report.code == 1
    report.says("traces", "problem", "speaks OTLP/HTTP, not gRPC", "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    report.says("metrics", "skipped")
    report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.grpc}", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    report.says("traces", "problem", "speaks gRPC, not OTLP/HTTP", "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc")


def test_another_collector_than_the_one_that_is_sent_to(collector: Running) -> None:
    with grpc_only() as elsewhere:
        report = doctor("--endpoint", f"http://{elsewhere}", "--api", collector.api)
    report.says("receives", "warning", elsewhere, collector.grpc)


def test_the_api_is_no_receiver_and_a_receiver_is_no_api(collector: Running) -> None:
    report = doctor(
        "--endpoint", f"http://{collector.api}", "--protocol", "http/protobuf", "--api", collector.http
    )  # fmt: skip
    report.says("traces", "problem", "no receiver of OTLP: 404")
    report.says("api", "problem", "not a bmad-otel collector")
    report = doctor("--endpoint", f"http://{collector.api}", "--api", collector.grpc)
    report.says("traces", "problem", "no receiver of OTLP: 404")
    report.says("api", "problem", "does not speak HTTP")


def test_without_a_collector_of_ours_nothing_is_wrong(closed_endpoint: str) -> None:
    # an address of this machine at whose port 8320 surely nothing listens
    with grpc_only("127.1.2.3") as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}")
        assert report.code == 0
        report.says("api", "skipped", "no API of a bmad-otel collector at 127.1.2.3:8320", "--api")
        named = doctor("--endpoint", f"http://{endpoint}", "--api", closed_endpoint)
    assert named.code == 1
    named.says("api", "problem", closed_endpoint, "is the collector running")


@contextmanager
def api_of(tmp_path: Path, status: dict[str, Any]) -> Iterator[str]:
    server = AsgiServer(
        build_api(ReadModel(StoreReader(str(tmp_path / "no.db"))), lambda: status), "127.0.0.1:0", name="api"
    )
    server.start()
    try:
        yield server.endpoint
    finally:
        server.stop(2)


def test_a_collector_of_another_release_without_a_store(tmp_path: Path) -> None:
    engine = {"partitions": 3, "late": 7, "repeated": 9}
    with api_of(tmp_path, {"version": "99.1", "endpoints": {}, "engine": engine}) as api, grpc_only() as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--api", api)
    report.says("api", "warning", "99.1", "same release")
    report.says("data", "warning", "not answered", "does not exist")
    report.says("losses", "warning", "engine late: 7", "allowed_lateness")
    assert report["losses"]["data"]["lost"] == {"engine": {"late": 7}}


# The way there ------------------------------------------------------------------------------------------------------


def test_nothing_listens() -> None:
    report = doctor("--endpoint", "http://127.0.0.1:1")
    assert report.code == 1
    report.says("port", "problem", "nothing takes connections at port 1 of 127.0.0.1", "bmad-otel collector --config")
    assert (report["traces"]["status"], report["metrics"]["status"]) == ("skipped", "skipped")


def test_a_name_nobody_knows() -> None:
    report = doctor("--endpoint", "http://receiver.invalid:4317")
    report.says("name", "problem", "receiver.invalid: ", "correct the host")
    assert "port" not in report.statuses()


def test_nothing_at_the_port_of_grpc_but_at_that_of_http(monkeypatch: pytest.MonkeyPatch, closed_endpoint: str) -> None:
    """The registered ports may be taken on this machine, so two others are made a pair."""
    with http_only() as endpoint:
        pair = {1: int(endpoint.rpartition(":")[2])}
        monkeypatch.setattr("bmad_processor.cli.doctor.reach.SIBLINGS", pair)
        findings, _ = examine_sending(settings_of(f"http://{closed_endpoint}", "grpc"), 2)
    (port,) = [finding for finding in findings if finding.check == "port"]
    assert port.status is Status.PROBLEM
    assert f"port {pair[1]} takes OTLP/HTTP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in port.advice


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_server_that_says_nothing(protocol: str) -> None:
    with listening(None) as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--protocol", protocol, "--timeout", "0.5")
    assert report.code == 1
    report.says("port", "ok")
    report.says("traces", "problem", "there was no answer within 0.5 s", "hangs")
    report.says("metrics", "skipped")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_server_of_another_kind(protocol: str) -> None:
    with listening(b"SSH-2.0-OpenSSH_9.2\r\n") as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--protocol", protocol, "--timeout", "0.5")
    assert report.code == 1
    assert report["traces"]["status"] == "problem"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("handler", [Page, FilesOnly])
def test_a_web_server(protocol: str, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
    with web_server(handler) as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--protocol", protocol)
    assert report.code == 1
    report.says("traces", "problem", "an HTTP server", "is no receiver of OTLP", "4317")
    report.says("metrics", "skipped")
    assert "\x1b" not in report.output


def test_foreign_words_do_not_drive_the_terminal() -> None:
    with web_server(Page) as endpoint:
        shown = run("--no-measure", "--endpoint", f"http://{endpoint}", "--protocol", "http/protobuf").stdout
    assert "Evil" in shown
    assert "\x1b" not in shown


# What a receiver says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["grpc", "http/protobuf"])
def test_a_receiver_that_does_not_take_metrics(kind: str) -> None:
    receiver = grpc_only if kind == "grpc" else http_only
    with receiver(metrics=Unserved("no pipeline takes metrics from this receiver")) as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--protocol", kind)
    assert report.code == 1
    report.says("traces", "ok")
    report.says("metrics", "problem", "configuration")


@pytest.mark.parametrize("kind", ["grpc", "http/protobuf"])
def test_a_receiver_that_is_full(kind: str) -> None:
    receiver = grpc_only if kind == "grpc" else http_only
    with receiver(traces=Overloaded("the queue is full", retry_after_s=1)) as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", "--protocol", kind)
    assert report.code == 0
    report.says("traces", "warning", "not now", "overloaded")
    report.says("metrics", "ok")


def test_something_before_the_receiver_that_finds_it_unavailable() -> None:
    """As a gRPC proxy says it: without a word on when to try again."""

    def answer(_body: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "no healthy upstream")

    with grpc_backend(answer) as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}")
    report.says("traces", "warning", "not now", "no healthy upstream")


def test_access_refused_over_http() -> None:
    def answer(scope: dict[str, Any], _body: bytes) -> tuple[int, dict[str, str], bytes]:
        is_known = (b"x-api-key", b"s3cret") in scope["headers"]
        return (200 if is_known else 401), {"content-type": "application/x-protobuf"}, b""

    with http_backend(answer) as endpoint:
        ask = ("--endpoint", endpoint, "--protocol", "http/protobuf")
        none = doctor(*ask)
        wrong = doctor(*ask, OTEL_EXPORTER_OTLP_HEADERS="x-api-key=wr0ng")
        right = doctor(*ask, OTEL_EXPORTER_OTLP_HEADERS="x-api-key=s3cret")
    none.says("traces", "problem", "access was refused", "no headers are sent", "OTEL_EXPORTER_OTLP_HEADERS")
    wrong.says("traces", "problem", "the credentials sent are not accepted")
    right.says("endpoint", "ok", "with the headers x-api-key")
    assert (right.code, right["traces"]["status"]) == (0, "ok")
    assert "wr0ng" not in wrong.output
    assert "s3cret" not in right.output


def test_access_refused_over_grpc() -> None:
    def answer(_body: bytes, context: grpc.ServicerContext) -> bytes:
        if ("authorization", "Bearer t0ken") not in [tuple(pair) for pair in context.invocation_metadata()]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        return b""

    with grpc_backend(answer) as endpoint:
        refused = doctor("--endpoint", f"http://{endpoint}")
        taken = doctor("--endpoint", f"http://{endpoint}", OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20t0ken")
    refused.says("metrics", "problem", "access was refused", "who are you?")
    assert taken.code == 0


def test_user_and_password_in_the_endpoint_are_not_shown() -> None:
    with http_only() as endpoint:
        report = doctor(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://me:s3cret@{endpoint}", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf"
        )
    assert report.code == 0
    assert "s3cret" not in report.output


def test_a_signal_s_endpoint_without_its_path() -> None:
    with http_only() as endpoint:
        report = doctor(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{endpoint}",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{endpoint}/",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        )
    report.says("traces", "problem", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be complete", "/v1/traces")
    report.says("metrics", "ok")


def test_a_redirection() -> None:
    with http_backend(
        lambda _scope, _body: (307, {"location": "https://elsewhere.example/v1/traces"}, b"")
    ) as endpoint:
        report = doctor("--endpoint", endpoint, "--protocol", "http/protobuf")
    report.says("traces", "problem", "redirected to https://elsewhere.example/v1/traces")


def test_signals_that_go_to_different_places() -> None:
    with grpc_only() as traces, http_only() as metrics:
        report = doctor(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{traces}",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://{metrics}/v1/metrics",
            OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
        )
    assert report.code == 0
    endpoints = [f["data"]["endpoint"] for f in report.findings if f["check"] == "endpoint"]
    assert endpoints == [f"http://{traces}", f"http://{metrics}/v1/metrics"]
    assert (report["traces"]["detail"], report["metrics"]["detail"]) == ("taken by gRPC", "taken by OTLP/HTTP")


# TLS ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tls:
    authority: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority of our own and a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    made = Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(made.key)
    made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return made


@contextmanager
def grpc_tls(tls: Tls) -> Iterator[str]:
    credentials = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
    with grpc_backend(lambda _body, _context: b"", credentials) as endpoint:
        yield endpoint


@contextmanager
def http_tls(tls: Tls) -> Iterator[str]:
    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)

    class Server(http.server.ThreadingHTTPServer):
        def finish_request(self, request: Any, address: Any) -> None:
            try:
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, address)  # type: ignore[arg-type]
            except OSError:
                pass  # a client that does not trust us

    server = Server(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SERVERS: dict[str, Callable[[Tls], Any]] = {"grpc": grpc_tls, "http/protobuf": http_tls}


@pytest.mark.parametrize("protocol", SERVERS)
def test_tls(tls: Tls, protocol: str) -> None:
    with SERVERS[protocol](tls) as endpoint:
        ask = ("--protocol", protocol, "--endpoint")
        trusted = doctor(*ask, f"https://{endpoint}", OTEL_EXPORTER_OTLP_CERTIFICATE=str(tls.authority))
        untrusted = doctor(*ask, f"https://{endpoint}")
        plain = doctor(*ask, f"http://{endpoint}")
        missing = doctor(*ask, f"https://{endpoint}", OTEL_EXPORTER_OTLP_CERTIFICATE="/no/such.pem")
    assert trusted.code == 0, trusted.output
    trusted.says("tls", "ok", "the certificate is trusted")
    trusted.says("traces", "ok")
    untrusted.says("tls", "problem", "not trusted", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    plain.says("traces", "problem", "speaks TLS, but the endpoint says http://", f"write https://{endpoint}")
    missing.says("traces", "problem", "OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read '/no/such.pem'")


@pytest.mark.parametrize("kind", ["grpc", "http/protobuf"])
def test_no_tls_where_the_endpoint_says_so(kind: str) -> None:
    receiver = grpc_only if kind == "grpc" else http_only
    with receiver() as endpoint:
        report = doctor("--endpoint", f"https://{endpoint}", "--protocol", kind)
    report.says("tls", "problem", "does not speak TLS", "write http:// instead of https://")


def test_an_address_without_http_is_taken_for_a_secure_one() -> None:
    with grpc_only() as endpoint:
        report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        insecure = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_INSECURE="true")
    report.says("tls", "problem", "does not speak TLS", f"write http://{endpoint}", "OTEL_EXPORTER_OTLP_INSECURE=true")
    report.says("OTEL_EXPORTER_OTLP_ENDPOINT", "warning", "gRPC then uses TLS")
    insecure.says("traces", "ok")


def test_a_proxy_is_named() -> None:
    with grpc_only() as endpoint:
        report = doctor("--endpoint", f"http://{endpoint}", http_proxy="http://me:s3cret@127.0.0.1:1", NO_PROXY="")
    report.says("way", "warning", "through the proxy 127.0.0.1:1", "NO_PROXY")
    assert "s3cret" not in report.output
    assert report["traces"]["status"] == "problem"


# Here ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "check", "status", "word"),
    [
        ({"OTEL_SDK_DISABLED": "True"}, "OTEL_SDK_DISABLED", "problem", "no data is sent"),
        ({"BMAD_OTEL_RAISE_INTERNAL": "1"}, "BMAD_OTEL_RAISE_INTERNAL", "warning", "for tests"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, "OTEL_TRACES_SAMPLER", "warning", "no span"),
        ({"OTEL_TRACES_EXPORTER": "otpl"}, "OTEL_TRACES_EXPORTER", "problem", "'otpl' is ignored"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL", "problem", "http/protobuf"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT", "warning", "use port 4317",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317"},
            "OTEL_EXPORTER_OTLP_ENDPOINT", "warning", "use port 4318",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317",
            },
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "warning", "port 4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318/v1/traces"},
            "OTEL_EXPORTER_OTLP_ENDPOINT", "problem", "leave the path out: http://a:4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317/v1/traces"},
            "OTEL_EXPORTER_OTLP_ENDPOINT", "warning", "which gRPC does not use",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4317"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "warning", "nothing says where metrics go",
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, "OTEL_EXPORTER_OTLP_HEADERS", "warning", "without '='"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10000"}, "OTEL_EXPORTER_OTLP_TIMEOUT", "warning", "10 if milliseconds"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "5s"}, "OTEL_METRIC_EXPORT_INTERVAL", "problem", "'5s'"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "5"}, "OTEL_METRIC_EXPORT_INTERVAL", "warning", "5000 if seconds"),
    ],
)  # fmt: skip
def test_variables(variables: dict[str, str], check: str, status: str, word: str) -> None:
    found = [finding for finding in examine_environment(variables) if finding.check == check]
    assert [(finding.status.value, word in f"{finding.detail} -> {finding.advice}") for finding in found] == [
        (status, True)
    ]
    assert not any("s3cret" in str(finding.to_dict()) for finding in found)


def test_variables_that_agree() -> None:
    variables = {
        "OTEL_SDK_DISABLED": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=b,c=d%20e", "OTEL_METRIC_EXPORT_INTERVAL": "5000", "PATH": "/bin",
    }  # fmt: skip
    releases, told = examine_environment(variables)
    assert (releases.check, releases.status) == ("releases", Status.OK)
    assert (told.check, told.status) == ("variables", Status.OK)


def test_signals_that_are_not_sent_by_otlp() -> None:
    report = doctor(OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="console")
    assert report.code == 0
    report.says("traces", "warning", "traces are not sent", "unset OTEL_TRACES_EXPORTER")
    report.says("metrics", "warning")


def test_the_spool(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with grpc_only() as endpoint:
        ask = ("--endpoint", f"http://{endpoint}")
        none = doctor(*ask)
        absent = doctor(*ask, BMAD_OTEL_SPOOL_DIRECTORY=str(spool))
        spool.mkdir()
        empty = doctor(*ask, BMAD_OTEL_SPOOL_DIRECTORY=str(spool))
        for name, size in (("1-traces.otlp", 600), ("2-metrics.otlp", 400), ("3-traces.tmp", 9), ("0.corrupt", 5)):
            (spool / name).write_bytes(bytes(size))
        hours_ago_s = time.time() - 7200
        os.utime(spool / "1-traces.otlp", (hours_ago_s, hours_ago_s))
        full = doctor(*ask, BMAD_OTEL_SPOOL_DIRECTORY=str(spool))
        wrong = doctor(*ask, BMAD_OTEL_SPOOL_DIRECTORY=str(spool / "1-traces.otlp"))
    assert "spool" not in none.statuses("environment")
    absent.says("spool", "ok", "does not exist yet")
    empty.says("spool", "ok", "is empty")
    full.says("spool", "warning", "2 requests of 1,000 bytes", "oldest for 2h", "1 damaged file", ".corrupt")
    assert full["spool"]["data"]["files"] == 2
    wrong.says("spool", "problem", "Not a directory")
    assert wrong.code == 1


def test_the_overhead_is_measured_here() -> None:
    with grpc_only() as endpoint:
        # the doctor's own variables do not reach the measurement
        done = run(
            "--json", "--endpoint", f"http://{endpoint}", OTEL_TRACES_SAMPLER="always_off", OTEL_SDK_DISABLED="true"
        )
    (found,) = [f for f in json.loads(done.stdout)["findings"] if f["area"] == "overhead"]
    assert found["status"] in ("ok", "warning")
    assert found["data"]["bare_span_us"] > 0
    assert 0 < found["data"]["tracked_us"] < 100_000
    assert "x a bare span" in found["detail"]


# The command --------------------------------------------------------------------------------------------------------


def test_on_a_screen() -> None:
    with grpc_only() as endpoint:
        done = run("--no-measure", "--endpoint", f"http://{endpoint}", "--api", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "Sending from here"
    assert lines[1].split() == ["ok", "endpoint", f"http://{endpoint}", "by", "gRPC"]
    problem = next(i for i, line in enumerate(lines) if line.startswith("  problem  api"))
    assert lines[problem + 1].strip().startswith("-> is the collector running")
    assert lines[-1] == "1 problem, 0 warnings"


@pytest.mark.parametrize(
    "args",
    [
        ["--protocol", "http/json"], ["--endpoint", "localhost:4317"], ["--endpoint", "http://a:99999"],
        ["--endpoint", " "], ["--timeout", "0"], ["--timeout", "nan"], ["--api", "somewhere"], ["more"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(args: list[str]) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
