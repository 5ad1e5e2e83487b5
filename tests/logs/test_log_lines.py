"""Lines of the log: both encodings, and repeats at a bounded rate."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bmad_processor.log_lines import UNSAMPLED, Encoding, LogStyle, Sampler, Sampling, formatter


class Log:
    """A logger of its own whose lines the test reads and whose clock it owns."""

    def __init__(self, style: LogStyle, name: str = "tests.logs") -> None:
        self.now_s = 0.0
        self.sampler = Sampler(style.sampling, clock=lambda: self.now_s)
        self.out = io.StringIO()
        self.handler = logging.StreamHandler(self.out)
        self.handler.addFilter(self.sampler)
        self.handler.setFormatter(formatter(style))
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.setLevel(logging.DEBUG)
        self.logger.addHandler(self.handler)

    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture
def logs() -> Iterator[list[Log]]:
    made: list[Log] = []
    yield made
    for log in made:
        log.logger.removeHandler(log.handler)
        log.logger.propagate = True


def test_one_object_per_line(logs: list[Log]) -> None:
    log = Log(LogStyle("json", fields={"site": "north"}))
    logs.append(log)
    log.logger.warning("exporter %s: cannot deliver: %s", "otlp_grpc/a", "two\nlines", extra={"attempt": 3})
    log.logger.info("stopping")
    try:
        raise ValueError("no")
    except ValueError:
        log.logger.exception("it failed")
    said, stopping, failed = [json.loads(line) for line in log.lines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("ts"))
    assert said == {
        "level": "warn",
        "logger": "tests.logs",
        "msg": "exporter otlp_grpc/a: cannot deliver: two\nlines",
        "component": "otlp_grpc/a",
        "attempt": 3,
        "site": "north",
    }
    assert "component" not in stopping
    assert failed["level"] == "error"
    assert "ValueError: no" in failed["error"]
    assert "Traceback" in failed["error"]


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_an_error_without_its_stack(logs: list[Log], encoding: Encoding) -> None:
    log = Log(LogStyle(encoding, with_stack=False))
    logs.append(log)
    try:
        raise ValueError("no")
    except ValueError:
        log.logger.exception("it failed")
    assert "Traceback" not in log.out.getvalue()
    assert "ValueError: no" in log.out.getvalue()


def test_repeats_of_a_template_are_written_at_a_bounded_rate(logs: list[Log]) -> None:
    log = Log(LogStyle(sampling=Sampling(tick_s=10, initial=3, thereafter=5)))
    logs.append(log)
    for n in range(13):
        log.logger.warning("failure %d", n)
    log.logger.warning("another")
    assert [line.partition("WARNING ")[2] for line in log.lines()] == [
        "failure 0",
        "failure 1",
        "failure 2",
        "failure 7 (4 more like it were left out)",
        "failure 12 (4 more like it were left out)",
        "another",
    ]
    log.logger.warning("failure %d", 13)
    log.now_s = 10.0
    log.logger.warning("failure %d", 14)
    assert log.lines()[-1].endswith("failure 14 (1 more like it were left out)")
    assert log.sampler.n_left_out == 9


def test_none_after_the_first(logs: list[Log]) -> None:
    log = Log(LogStyle(sampling=Sampling(initial=2, thereafter=0)))
    logs.append(log)
    for _ in range(1000):
        log.logger.warning("again")
    assert len(log.lines()) == 2


def test_what_the_user_asked_to_see_is_never_left_out(logs: list[Log]) -> None:
    log = Log(LogStyle(), UNSAMPLED)
    logs.append(log)
    for _ in range(1000):
        log.logger.info("telemetry")
    assert len(log.lines()) == 1000


def test_texts_without_a_template_do_not_grow_memory() -> None:
    sampler = Sampler(Sampling())
    for n in range(10_000):
        assert sampler.filter(logging.LogRecord("x", logging.INFO, "", 0, f"text {n}", (), None))
    assert len(sampler._seen) <= 1000


_PROGRAM = """
import logging
from bmad_processor.log_level import set_up_logging
from bmad_processor.log_lines import LogStyle
set_up_logging()
logging.getLogger("bmad_otel.collector").info("before")
set_up_logging(logging.DEBUG, LogStyle("json"))
for n in range(500):
    logging.getLogger("bmad_otel.collector").debug("after %d", n)
logging.getLogger("somebody.else").debug("detail")
"""


def test_a_process_changes_its_style_once_its_configuration_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    first, *rest = done.stderr.splitlines()
    assert first.endswith("INFO before")
    assert [json.loads(line)["msg"] for line in rest[:2]] == ["after 0", "after 1"]
    assert len(rest) == 14
