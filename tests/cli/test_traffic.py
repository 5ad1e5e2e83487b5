"""The lines of `bmad-otel status` about what came in and went out."""

from __future__ import annotations

from bmad_processor.cli.traffic import traffic


def test_of_a_busy_collector() -> None:
    status = {
        "intake": {"accepted_traces": 1200, "accepted_logs": 1, "unused_no_agent": 3},
        "requests": {"otlp/grpc": {"success": 9, "refused": 2}, "otlp/http": {"success": 1, "refused": 0}},
        "exporters": {
            "otlp_grpc/a": {"sent_items": 1100, "queue_size": 3, "queue_capacity": 1000, "failed_items_shutdown": 0},
            "debug": {"sent_items": 0, "queue_requests": 0, "failed_items_permanent": 1},
        },
    }
    assert traffic(status) == [
        ["Received", "1200 spans, 1 log record"],
        ["Refused", "2 requests, told to come again"],
        ["To otlp_grpc/a", "1100 items sent, queue 3 of 1000"],
        ["To debug", "nothing sent yet, queue 0, 1 item lost"],
    ]


def test_of_one_that_has_just_begun_or_is_older() -> None:
    assert traffic({}) == [["Received", "nothing yet"]]
