"""Who was told that telemetry is received finds it in the next answer."""

from __future__ import annotations

from pathlib import Path

from bmad_processor.model import Signal

from . import otlp
from .collectors import FAST, Api, embedded, write_config
from .otlp import GrpcClient


def test_an_answer_has_what_was_acknowledged_before_the_question(tmp_path: Path) -> None:
    config = write_config(tmp_path, performance={**FAST, "commit_interval": "60s"})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        api = Api(collector.endpoints["api"])
        for n in range(1, 21):
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
            row = api.agent("Planner")
            assert row is not None
            assert row["tasks_total"] == n
