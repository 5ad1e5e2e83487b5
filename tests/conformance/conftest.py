"""Options, the target, its servers, and the report that the scoreboard reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .backend import Backend, running
from .clients import GrpcClient, HttpClient, grpc_client
from .rows import NotApplicable, row_of
from .targets import AddressTarget, Child, OursTarget, RotelTarget, Server, StockTarget, Target, Wish

_TARGETS: dict[str, Callable[[], Target]] = {"ours": OursTarget, "rotel": RotelTarget, "collector": StockTarget}

LIMIT = 2**20
PINGS = {"enforcement_policy": {"min_time": "10ms", "permit_without_stream": True}}
ORIGINS = ("https://app.example", "https://*.shop.example")

LIMITED = Wish(limit_bytes=LIMIT, signals=("traces", "logs"))
"""Requests of up to `LIMIT` bytes, and no metrics."""
TUNED = Wish(max_streams=7, keepalive=PINGS)
BROWSERS = Wish(origins=ORIGINS)
STRICT = Wish(is_strict_json=True)
_TOGETHER = Wish(limit_bytes=LIMIT, signals=("traces", "logs"), max_streams=7, keepalive=PINGS, origins=ORIGINS,
                 is_strict_json=True)  # fmt: skip
"""Ours has all of it: one process instead of four."""

Start = Callable[[Wish], Server]
Launch = Callable[[Wish], Child]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--target", choices=sorted(_TARGETS), help="which receiver to start (default: ours)")
    group.addoption("--target-grpc", metavar="HOST:PORT", help="ask the receiver that listens there instead")
    group.addoption("--target-http", metavar="HOST:PORT", help="ask the receiver that listens there instead")
    group.addoption("--conformance-report", metavar="PATH", help="write one JSON line per test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            row, is_beyond = row_of(item.name)
            item.user_properties.append(("conformance", [row, is_beyond]))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--conformance-report", default=None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Report(Path(path)))


class _Report:
    """One line per test: row, whether beyond the specification, name, outcome, and why not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.write_text("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = dict(report.user_properties).get("conformance")
        if found is None or (report.passed and report.when != "call"):
            return
        why = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            why = report.longrepr[2]
        elif report.failed:
            why = report.longreprtext.strip().splitlines()[-1][:300]
            why = next((line[1:].strip() for line in report.longreprtext.splitlines() if line[:2] == "E "), why)[:300]
        with self._path.open("a") as out:
            row, is_beyond = found
            name = report.nodeid.partition("::")[2]
            out.write(json.dumps([row, is_beyond, name, report.outcome, why]) + "\n")


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    addresses = [pytestconfig.getoption(name, default=None) for name in ("--target-grpc", "--target-http")]
    if any(addresses):
        if not all(addresses):
            raise pytest.UsageError("--target-grpc and --target-http belong together")
        return AddressTarget(*addresses)
    return _TARGETS[pytestconfig.getoption("--target", default=None) or "ours"]()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    # raised by a test itself; those of fixtures are turned below
    try:
        return (yield)
    except NotApplicable as reason:
        _not_applicable(pyfuncitem.config, reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and _is_ours(item.config):
        report.outcome = "failed"
        report.longrepr = f"nothing is skipped for ours: {report.longrepr}"
    return report


def _is_ours(config: pytest.Config) -> bool:
    is_address = any(config.getoption(name, default=None) for name in ("--target-grpc", "--target-http"))
    return not is_address and (config.getoption("--target", default=None) or "ours") == "ours"


def _not_applicable(config: pytest.Config, reason: NotApplicable) -> None:
    if _is_ours(config):
        raise AssertionError(f"nothing is not applicable to ours: {reason}") from reason
    pytest.skip(f"not applicable: {reason}")


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    with running() as backend:
        yield backend


@pytest.fixture(scope="session")
def start_for_session(
    target: Target, backend: Backend, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Start]:
    """Starts a server that lives until the end of the session; asked twice for the same, it is the same."""
    servers: list[tuple[Wish, Server]] = []
    with ExitStack() as stack:

        def start(wish: Wish) -> Server:
            if isinstance(target, OursTarget) and wish in (LIMITED, TUNED, BROWSERS, STRICT):
                wish = _TOGETHER
            for known, server in servers:
                if known == wish:
                    return server
            try:
                server = target.start(tmp_path_factory.mktemp("server"), backend, wish)
            except NotApplicable as reason:
                _not_applicable(pytestconfig, reason)
                raise
            if server.child is not None:
                stack.callback(server.child.end)
            servers.append((wish, server))
            return server

        yield start


@pytest.fixture
def start(target: Target, tmp_path: Path) -> Iterator[Start]:
    """Starts a server of the test's own, with a backend of its own."""
    with ExitStack() as stack:

        def start(wish: Wish) -> Server:
            server = target.start(tmp_path, stack.enter_context(running()), wish)
            if server.child is not None:
                stack.callback(server.child.end)
            return server

        yield start


@pytest.fixture
def launch(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Starts a process that may fail to start."""
    with ExitStack() as stack:

        def launch(wish: Wish) -> Child:
            child = target.launch(tmp_path_factory.mktemp("launch"), wish)
            stack.callback(child.end)
            return child

        yield launch


@pytest.fixture(scope="session")
def server(start_for_session: Start) -> Server:
    """The target with its own defaults."""
    return start_for_session(Wish())


@pytest.fixture(scope="session")
def rpc(server: Server) -> Iterator[GrpcClient]:
    with grpc_client(server.grpc) as client:
        yield client


@pytest.fixture(scope="session")
def web(server: Server) -> HttpClient:
    return HttpClient(server.http)


@pytest.fixture(scope="session")
def limited(start_for_session: Start) -> Server:
    return start_for_session(LIMITED)
