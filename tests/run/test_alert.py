"""From failing tasks on the wire to an alert at the backend and in the API, in real time."""

from __future__ import annotations

import signal as signals
from pathlib import Path

from bmad_processor.model import Signal

from . import otlp
from .backends import Backend
from .collectors import FAST, Api, Process, embedded, eventually, learned, to_grpc, unsent, write_config
from .otlp import GrpcClient


def test_failing_tasks_become_an_alert_and_its_end(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        api = Api(collector.endpoints["api"])

        def fired() -> bool:
            client.export(Signal.TRACES, otlp.tasks("Planner", 1, is_error=True))
            return bool(backend.said("bmad.alert.fired"))

        eventually(fired)
        (event,) = backend.said("bmad.alert.fired")
        (alert,) = api.alerts()
        said = event.attributes
        assert (said["gen_ai.agent.name"], said["bmad.metric.type"]) == ("Planner", "error_rate")
        assert (said["bmad.alert.level"], event.severity) == ("emergency", "FATAL")
        assert said["bmad.alert.value"] == 1.0
        assert said["bmad.alert.threshold"] == 0.2
        assert said["bmad.alert.fingerprint"] == alert["fingerprint"]
        assert said["bmad.alert.id"] == alert["alert_id"]
        assert event.body == alert["message"]
        assert event.reason["rule"] == "error_rate over 3 s > 20.0%"
        assert event.reason["exemplars"]
        assert not alert["resolved"]
        row = api.agent("Planner")
        assert row is not None
        assert row["level"] == "emergency"
        point = ({"gen_ai.agent.name": "Planner", "bmad.metric.type": "error_rate"}, 4.0)
        eventually(lambda: point in backend.gauges("bmad.alert.active"))

        def resolved() -> bool:
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
            return bool(backend.said("bmad.alert.resolved"))

        eventually(resolved)
        (event,) = backend.said("bmad.alert.resolved")
        assert event.attributes["bmad.alert.id"] == alert["alert_id"]
        (alert,) = api.alerts()
        assert alert["resolved"]
    assert len(backend.said("bmad.alert")) == 2


def test_a_restart_says_nothing_twice_and_forgets_nothing(
    tmp_path: Path, backend_endpoint: str, backend: Backend
) -> None:
    exporters = {"otlp_grpc": to_grpc(backend_endpoint)}
    config = write_config(tmp_path, performance={**FAST, "commit_interval": "10s"}, exporters=exporters)
    with Process(config, log=tmp_path / "first.log") as first:
        endpoints = first.endpoints()
        api = Api(endpoints["api"])
        with GrpcClient(endpoints["otlp/grpc"]) as client:

            def fired() -> bool:
                client.export(Signal.TRACES, otlp.tasks("Steady", 5))
                client.export(Signal.TRACES, otlp.tasks("Failing", 5, is_error=True))
                return bool(backend.said("bmad.alert.fired"))

            eventually(fired)

            def has_learned() -> bool:
                client.export(Signal.TRACES, otlp.tasks("Steady", 5))
                return bool(api.alerts()) and "throughput" in learned(config, "Steady")

            # an alert does not wait for the pane end, a baseline does
            eventually(has_learned)
        alerts = eventually(api.alerts)
        assert first.stop() == 0
    assert first.log.count("Failing") == 1, "the alert is said once on the console"
    assert unsent(config) == 0
    before = learned(config, "Steady")
    assert before["throughput"][0] >= 1

    with Process(config, log=tmp_path / "second.log") as second:
        api = Api(second.endpoints()["api"])
        # a firing alert grows older; all else is as it was
        assert [alert | {"duration_s": 0} for alert in api.alerts()] == [alert | {"duration_s": 0} for alert in alerts]
        row = api.agent("Steady")
        assert row is not None
        assert row["tasks_total"] % 5 == 0
        second.signal(signals.SIGINT)
        assert second.wait() == 0
    after = learned(config, "Steady")
    for name, (n, _) in before.items():
        assert after[name][0] >= n
    assert len(backend.said("bmad.alert.fired")) == 1
