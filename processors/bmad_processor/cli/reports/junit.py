"""JUnit XML: a suite per agent, a case per metric. A check without data is skipped.

There is no one schema; this keeps to what Ant's JUnit task and the Jenkins xUnit plugin both read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped."""


def junit_xml(report: Mapping[str, Any], *, hostname: str) -> str:
    """The report as a document. ``hostname`` is where the check ran."""
    suites: dict[str, list[Mapping[str, Any]]] = {}
    for check in report["checks"]:
        suites.setdefault(_suite_name(check), []).append(check)
    root = ET.Element("testsuites", {"name": "bmad-otel check", **_counts(report["checks"]), "time": "0"})
    at = datetime.fromtimestamp(report["as_of"], UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for number, (name, checks) in enumerate(suites.items()):
        attributes = {
            "name": name, "package": "bmad-otel", "id": str(number), "timestamp": at, "hostname": _text(hostname),
            **_counts(checks), "time": "0",
        }  # fmt: skip
        suite = ET.SubElement(root, "testsuite", attributes)
        properties = ET.SubElement(suite, "properties")
        for key in ("fail_on", "since_s"):
            ET.SubElement(properties, "property", {"name": key, "value": str(report[key])})
        for check in checks:
            _case(suite, name, check)
        ET.SubElement(suite, "system-out")
        ET.SubElement(suite, "system-err")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, suite_name: str, check: Mapping[str, Any]) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": suite_name, "name": _text(check["metric"]), "time": "0"})
    message = _text(check["message"])
    if check["status"] == "fail":
        failure = ET.SubElement(case, "failure", {"message": message, "type": str(check["level"])})
        shown = (f"{key}: {check[key]}" for key in ("value", "threshold", "unit", "n", "alert_id") if check[key])
        failure.text = _text("\n".join([message, *shown]))
    elif check["status"] == "no_data":
        ET.SubElement(case, "skipped", {"message": message})


def _counts(checks: list[Mapping[str, Any]]) -> dict[str, str]:
    failed = sum(check["status"] == "fail" for check in checks)
    skipped = sum(check["status"] == "no_data" for check in checks)
    return {"tests": str(len(checks)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}


def _suite_name(check: Mapping[str, Any]) -> str:
    name = check["host"] or check["agent"]
    return _text(f"{check['namespace']}/{name}" if check["namespace"] else name)


def _text(value: object) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
