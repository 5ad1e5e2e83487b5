"""Reading back gives the same object, and the JSON is what the BMAD monitor's users know."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given

from bmad_processor.metric_types import Direction
from bmad_processor.model import Alert, AlertEvent, AlertStatus, Level, PartitionKey, Reason, ScalingHint
from bmad_processor.settings import EngineSettings, Profile, Profiles, ScalingRules
from bmad_processor.store import (
    alert_from_dict,
    alert_to_dict,
    event_from_dict,
    event_to_dict,
    hint_from_dict,
    hint_to_dict,
)
from bmad_processor.store.settings_codec import dump_settings, load_settings

from . import strategies

START = 1_640_995_200 * 10**9
ALERT = Alert(
    alert_id="ProductOwner_cpu_usage_1640995200",
    fingerprint="f1",
    key=PartitionKey("agent", "shop", "ProductOwner"),
    metric_type="cpu_usage",
    level=Level.WARNING,
    status=AlertStatus.FIRING,
    started_ns=START,
    updated_ns=START + 5 * 10**9,
    resolved_ns=None,
    value=0.752,
    threshold=0.7,
    message="CPU usage is 75.2% (threshold: 70.0%)",
    reason=Reason("cpu_usage over 60 s > 70.0%", 0.752, 0.7, 12, 60 * 10**9),
)


@given(strategies.alerts)
def test_alerts_come_back(alert: Alert) -> None:
    assert alert_from_dict(json.loads(json.dumps(alert_to_dict(alert)))) == alert


@given(strategies.events)
def test_events_come_back(event: AlertEvent) -> None:
    assert event_from_dict(json.loads(json.dumps(event_to_dict(event)))) == event


@given(strategies.hints)
def test_hints_come_back(hint: ScalingHint) -> None:
    assert hint_from_dict(json.loads(json.dumps(hint_to_dict(hint)))) == hint


def test_an_alert_has_the_monitor_s_keys_in_units_a_person_reads() -> None:
    shown = alert_to_dict(ALERT)
    expected = {
        "alert_id": "ProductOwner_cpu_usage_1640995200",
        "level": "warning",
        "message": "CPU usage is 75.2% (threshold: 70.0%)",
        "agent_name": "ProductOwner",
        "metric_type": "cpu_usage",
        "current_value": 75.2,
        "threshold": 70.0,
        "unit": "%",
        "timestamp": 1640995200.0,
        "resolved": False,
        "resolution_time": None,
        "namespace": "shop",
        "status": "firing",
        "duration_s": 5.0,
    }
    assert {name: shown[name] for name in expected} == expected


def test_a_resolved_alert_says_when_and_how_long() -> None:
    shown = alert_to_dict(replace(ALERT, status=AlertStatus.RESOLVED, resolved_ns=START + 90 * 10**9))
    assert (shown["resolved"], shown["resolution_time"], shown["duration_s"]) == (True, 1640995290.0, 90.0)


def test_a_host_s_alert_is_the_system_s() -> None:
    shown = alert_to_dict(replace(ALERT, key=PartitionKey("host", "", "node1")))
    assert (shown["agent_name"], shown["host"]) == ("system", "node1")


@pytest.mark.parametrize("damage", [{}, {"alert_id": "x"}, {"level": "loud"}, {"level": None}])
def test_damage_is_a_value_error(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"damaged|loud"):
        alert_from_dict(damage and {**alert_to_dict(ALERT), "reason": None} | damage)
    with pytest.raises(ValueError, match="damaged"):
        event_from_dict({})
    with pytest.raises(ValueError, match="damaged"):
        hint_from_dict({})


def test_settings_come_back() -> None:
    settings = EngineSettings(
        profiles=Profiles(
            Profile("*"),
            {
                "Architect": Profile(
                    "Architect",
                    {"cpu_usage": {Level.WARNING: 0.6}},
                    ScalingRules(None, 0.5, 2, 9, 0.25),
                    False,
                    directions={"cpu_usage": Direction.LOW_IS_BAD},
                )
            },
        ),
        cooldown_ns=7,
        smoothing=0.25,
    )
    assert load_settings(dump_settings(settings)) == settings


def test_settings_of_another_release() -> None:
    data = json.loads(dump_settings(EngineSettings()))
    data["of_tomorrow"] = 1
    del data["warmup"], data["profiles"]["default"]["directions"]
    data["profiles"]["default"]["scaling"]["of_tomorrow"] = 1
    assert load_settings(json.dumps(data)) == EngineSettings()
    with pytest.raises(ValueError, match="damaged"):
        load_settings("[]")
