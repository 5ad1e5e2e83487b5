"""What is read and not with the engine yet: nothing acknowledged is missed by a question, nothing refused is used."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from bmad_processor.emit.request import ExportRequest
from bmad_processor.errors import Malformed, Overloaded
from bmad_processor.model import Sample, Signal, TaskSample
from bmad_processor.receive import Accepted
from bmad_processor.run import intake as intake_module
from bmad_processor.run.intake import Intake
from bmad_processor.run.pipeline import Pipeline, build_routes

from . import otlp
from .collectors import eventually
from .otlp import SECOND

NOW_NS = 1_800_000_000 * SECOND


@dataclass
class Sink:
    """An engine that only remembers."""

    batches: list[tuple[int, tuple[Sample, ...]]] = field(default_factory=list)
    error: Exception | None = None

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        if self.error is not None:
            raise self.error
        self.batches.append((now_ns, samples))

    @property
    def n_tasks(self) -> int:
        return sum(s.count for _, samples in self.batches for s in samples if isinstance(s, TaskSample))


@dataclass(eq=False)
class Disk:
    """An exporter whose `offer` waits until it is let go."""

    name: str = "disk"
    may_wait: bool = True
    has_taken: bool = True
    go: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None: ...

    def stop(self, timeout_s: float) -> None: ...

    def counters(self) -> dict[str, int]:
        return {}

    def has_room(self, body_bytes: int) -> bool:
        return True

    def offer(self, request: ExportRequest) -> bool:
        if self.may_wait:
            self.waiting.release()
            assert self.go.wait(20)
        return self.has_taken


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def intake(sink: Sink) -> Iterator[Intake]:
    intake = Intake(sink, interval_ns=5 * SECOND, clock=lambda: NOW_NS)
    yield intake
    intake.stop()


def pipeline(intake: Intake, *exporters: Disk, uses_engine: bool = True) -> Pipeline:
    return Pipeline(build_routes([(signal, uses_engine, exporters) for signal in Signal]), intake)


def spans(n: int = 3) -> bytes:
    return otlp.tasks("Architect", n)


def test_spans_are_handed_over_soon_together(intake: Intake, sink: Sink) -> None:
    consumer = pipeline(intake)
    for _ in range(20):
        assert consumer.consume(Signal.TRACES, spans()) == Accepted()
    eventually(lambda: sink.n_tasks == 60)
    assert len(sink.batches) < 20
    assert {time_ns for time_ns, _ in sink.batches} == {NOW_NS}


def test_a_flush_has_everything_before_it(intake: Intake, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "HOLD_S", 60.0)
    pipeline(intake).consume(Signal.TRACES, spans())
    assert sink.n_tasks == 0
    intake.flush()
    assert sink.n_tasks == 3


def test_a_stop_has_everything_before_it(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "HOLD_S", 60.0)
    intake = Intake(sink, interval_ns=5 * SECOND)
    pipeline(intake).consume(Signal.TRACES, spans())
    began = time.monotonic()
    intake.stop()
    intake.stop()
    assert sink.n_tasks == 3
    assert time.monotonic() - began < 30


def test_many_spans_do_not_wait(intake: Intake, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "HOLD_S", 60.0)
    monkeypatch.setattr(intake_module, "MAX_HELD", 10)
    consumer = pipeline(intake)
    for _ in range(4):
        consumer.consume(Signal.TRACES, spans())
    assert sink.n_tasks == 12


def test_where_nothing_may_be_late_nothing_is_held(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "HOLD_S", 60.0)
    pipeline(Intake(sink, interval_ns=5 * SECOND, lateness_ns=0)).consume(Signal.TRACES, spans())
    assert sink.n_tasks == 3


def test_metrics_are_handed_over_at_once_behind_the_spans_before(
    intake: Intake, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "HOLD_S", 60.0)
    consumer = pipeline(intake)
    consumer.consume(Signal.TRACES, spans())
    totals = otlp.task_totals("Architect", ok=(NOW_NS, 1), errors=(NOW_NS, 0), time_ns=NOW_NS)
    consumer.consume(Signal.METRICS, otlp.metrics(totals))
    ((_, samples),) = sink.batches
    assert isinstance(samples[0], TaskSample)
    assert len(samples) > 1


def test_a_bug_in_the_engine_is_no_answer_to_a_sender(
    intake: Intake, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    sink.error = KeyError("a bug")
    consumer = pipeline(intake)
    assert consumer.consume(Signal.TRACES, spans()) == Accepted()
    intake.flush()
    assert "internal error" in caplog.text
    sink.error = None
    consumer.consume(Signal.TRACES, spans())
    eventually(lambda: sink.n_tasks == 3)


def test_what_is_refused_is_not_used_and_counted_where_it_came(intake: Intake, sink: Sink) -> None:
    first, second = pipeline(intake, Disk(may_wait=False)), pipeline(intake, Disk(may_wait=False, has_taken=False))
    first.consume(Signal.TRACES, spans())
    with pytest.raises(Overloaded):
        second.consume(Signal.TRACES, spans(5))
    with pytest.raises(Malformed):
        second.consume(Signal.TRACES, b"\xff")
    intake.flush()
    assert sink.n_tasks == 3
    assert first.counters() == {"accepted_traces": 3}
    refused = {"refused_traces": 5, "refused_requests_full": 1, "refused_requests_malformed": 1}
    assert second.counters() == refused
    assert intake.counters() == {"accepted_traces": 3, **refused}


def test_requests_that_wait_for_a_disk_wait_together(intake: Intake, sink: Sink) -> None:
    """And what is not on it in the end is not used either."""
    good, bad = Disk(), Disk(has_taken=False)
    consumers = [pipeline(intake, good), pipeline(intake, good), pipeline(intake, bad)]
    assert all(consumer.may_wait for consumer in consumers)
    threads = [threading.Thread(target=_consume, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    assert good.waiting.acquire(timeout=20)
    assert good.waiting.acquire(timeout=20)
    assert bad.waiting.acquire(timeout=20)
    intake.flush()
    assert sink.n_tasks == 0
    pipeline(intake).consume(Signal.TRACES, spans(10))
    good.go.set()
    bad.go.set()
    for thread in threads:
        thread.join(20)
    intake.flush()
    assert sink.n_tasks == 16
    assert intake.counters() == {"accepted_traces": 16, "refused_traces": 3, "refused_requests_full": 1}


def _consume(consumer: Pipeline) -> None:
    with suppress(Overloaded):
        consumer.consume(Signal.TRACES, spans())


def test_a_pipeline_without_the_engine_only_counts(intake: Intake, sink: Sink) -> None:
    for exporter in (Disk(may_wait=False), Disk(go=_set())):
        pipeline(intake, exporter, uses_engine=False).consume(Signal.TRACES, spans())
    intake.flush()
    assert sink.batches == []
    assert intake.counters()["accepted_traces"] == 6


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_caches_can_be_emptied_at_any_time(intake: Intake, sink: Sink) -> None:
    consumer = pipeline(intake)
    for _ in range(3):
        consumer.consume(Signal.TRACES, spans())
        intake.shed()
    intake.flush()
    assert sink.n_tasks == 9


def test_nothing_runs_while_nothing_comes(intake: Intake, sink: Sink) -> None:
    pipeline(intake).consume(Signal.TRACES, spans())
    eventually(lambda: sink.n_tasks == 3)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
