"""An empty OTLP request for each signal, sent as the SDK would send it; and if it fails, why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .finding import Finding, Status
from .network import Address, speaks_http2
from .reach import AREA, Way, explore
from .speaks import OTHER, PROTOCOL_NAMES, SIBLINGS, HttpAnswer, ask_http, send, speaks, speaks_tls, with_protocol

if TYPE_CHECKING:
    from bmad_otel._delivery.answers import Answer
    from bmad_otel._delivery.target import Target
    from bmad_otel._settings import Settings, SignalName

_SIGNALS: Final[tuple[SignalName, ...]] = ("traces", "metrics")

_AUTH: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403", "407"})
_BUSY: Final = frozenset({"RESOURCE_EXHAUSTED", "408", "429", "502", "503", "504"})
_SILENT: Final = frozenset({"DEADLINE_EXCEEDED", "TimeoutError"})
_EMPTY_REFUSED: Final = frozenset({"INVALID_ARGUMENT", "400"})

_CORRECT_IT: Final = "correct host and port of the endpoint; 4317 is the usual one for gRPC, 4318 for HTTP"


@dataclass(frozen=True, slots=True)
class Place:
    """What targets have in common for which the way there is one."""

    server: str
    port: int | None
    protocol: str
    is_secure: bool


def examine_sending(settings: Settings, timeout_s: float) -> tuple[list[Finding], list[Target]]:
    """Findings, and where the signals go."""
    from bmad_otel._delivery.target import target_of
    from bmad_otel._settings import exporter_names

    findings: list[Finding] = []
    targets: list[Target] = []
    ways: dict[Place, Way] = {}
    for signal in _SIGNALS:
        if settings.endpoint is None and "otlp" not in exporter_names(signal):
            name = f"OTEL_{signal.upper()}_EXPORTER"
            detail = f"{signal} are not sent by OTLP"
            findings.append(Finding(AREA, signal, Status.WARNING, detail, f"unset {name}, or add otlp to it"))
            continue
        try:
            target = _located(target_of(signal, settings))
        except ValueError as error:
            findings.append(Finding(AREA, signal, Status.PROBLEM, str(error), "correct or unset the variable"))
            continue
        targets.append(target)
        place = Place(target.server, target.port, target.protocol, target.is_secure)
        if place not in ways:
            ways[place] = explore(target, timeout_s)
            findings += [_endpoint(target), *ways[place].findings]
        way = ways[place]
        if way.is_open:
            found = _send(target, way, timeout_s)
            # what is no receiver of OTLP at all is none for the other signal either
            way.is_open = found.data.get("reason") not in ("silent", "protocol", "not_otlp", "tls")
            findings.append(found)
        else:
            findings.append(Finding(AREA, signal, Status.SKIPPED, "not tried, see above"))
    return findings, targets


def _located(target: Target) -> Target:
    """With host and port apart also for an address without http://, as gRPC takes it."""
    host, colon, port = target.address.rpartition(":")
    if target.port is None and colon and port.isdecimal() and "/" not in host and host.count(":") in (0, 7):
        return replace(target, server=host.strip("[]"), port=int(port))
    return target


def _endpoint(target: Target) -> Finding:
    detail = f"{target.endpoint} by {PROTOCOL_NAMES[target.protocol]}"
    names = ", ".join(sorted(name for name, _ in target.headers))
    headers = f", with the headers {names}" if names else ""
    data = {"endpoint": target.endpoint, "protocol": target.protocol, "is_secure": target.is_secure}
    return Finding(AREA, "endpoint", Status.OK, detail + headers, data=data)


def _send(target: Target, way: Way, timeout_s: float) -> Finding:
    from bmad_otel._delivery.answers import Taken

    answer = send(target, min(timeout_s, target.timeout_s))
    if isinstance(answer, Taken):
        if target.protocol == "http/protobuf" and way.address is not None:
            return _looked_at(target, ask_http(target, timeout_s))
        return _taken(target)
    return _failed(target, way, answer, timeout_s)


def _taken(target: Target) -> Finding:
    return _finding(target, Status.OK, f"taken by {PROTOCOL_NAMES[target.protocol]}", "")


def _looked_at(target: Target, look: HttpAnswer | None) -> Finding:
    """Any web server may say 200 to a request: a receiver says it in OTLP's words."""
    if look is None or look.is_otlp or not 200 <= look.status < 300:
        return _taken(target)
    return _not_otlp(target, look)


def _failed(target: Target, way: Way, answer: Answer, timeout_s: float) -> Finding:
    from bmad_otel._delivery.answers import Taken

    assert not isinstance(answer, Taken)
    kind, message = answer.error_type, answer.message
    if kind in _AUTH:
        had = "the credentials sent are not accepted" if target.headers else "no headers are sent"
        advice = f"{had}: set OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20TOKEN"
        return _problem(target, "auth", f"access was refused ({message})", advice)
    if kind in _BUSY or _is_away(target, way, answer, timeout_s):
        advice = "the receiver or what is behind it is overloaded or starting; data is sent again later"
        return _finding(target, Status.WARNING, f"not now ({message})", advice, reason="busy")
    if kind in _EMPTY_REFUSED and _is_otlp(target, timeout_s):
        advice = "it may be only that the test is empty; if data does not arrive either, look into the receiver's log"
        return _finding(target, Status.WARNING, f"refused an empty request ({message})", advice, reason="refused")
    if way.address is not None:
        wrong = _wrong_protocol(target, way.address, timeout_s)
        if wrong is not None:
            return wrong
    if kind in _SILENT:
        detail = f"connected, but there was no answer within {min(timeout_s, target.timeout_s):g} s"
        advice = "what listens there hangs, is no receiver of OTLP, or something between holds the data back"
        return _problem(target, "silent", detail, advice)
    if way.address is None:
        return _problem(target, "failed", f"not taken ({message})", "correct the endpoint, or what is between")
    return _unserved(target, kind, message, timeout_s)


def _is_away(target: Target, way: Way, answer: Answer, timeout_s: float) -> bool:
    """Whether it is the server that says UNAVAILABLE: gRPC itself says so, too, when it does not get through."""
    from bmad_otel._delivery.answers import Again

    if not isinstance(answer, Again) or answer.error_type != "UNAVAILABLE":
        return False
    if answer.after_s is not None:
        return True
    return way.address is not None and not target.is_secure and speaks_http2(way.address, timeout_s)


def _is_otlp(target: Target, timeout_s: float) -> bool:
    if target.protocol == "grpc":
        return True
    look = ask_http(target, timeout_s)
    return look is not None and look.is_otlp


def _wrong_protocol(target: Target, address: Address, timeout_s: float) -> Finding | None:
    """Whether the server would understand another protocol, or TLS, at the same port."""
    other = OTHER[target.protocol]
    if speaks(target, other, timeout_s):
        detail = f"port {target.port} speaks {PROTOCOL_NAMES[other]}, not {PROTOCOL_NAMES[target.protocol]}"
        advice = f"set OTEL_EXPORTER_OTLP_PROTOCOL={other}"
        sibling = SIBLINGS.get(target.port or 0)
        if sibling is not None and speaks(target, target.protocol, timeout_s, port=sibling):
            advice += f", or send to port {sibling}, which takes {PROTOCOL_NAMES[target.protocol]}"
        return _problem(target, "protocol", detail, advice, speaks=other)
    if not target.is_secure and speaks_tls(address, target.server, timeout_s):
        scheme = target.endpoint if "://" in target.endpoint else f"http://{target.endpoint}"
        advice = f"write {scheme.replace('http://', 'https://', 1)}"
        return _problem(target, "tls", f"port {target.port} speaks TLS, but the endpoint says http://", advice)
    return None


def _unserved(target: Target, kind: str, message: str, timeout_s: float) -> Finding:
    """The protocol is right, or nothing that is known; the request was not taken."""
    if target.protocol == "grpc":
        if kind == "UNIMPLEMENTED" and "http2 header with status" not in message:
            advice = f"is it a receiver of OTLP, and does its configuration take {target.signal} at this port?"
            return _problem(
                target, "unserved", f"a gRPC server answers that takes no {target.signal} ({message})", advice
            )
        look = ask_http(with_protocol(target, "http/protobuf", is_secure=target.is_secure), timeout_s)
        return _not_otlp(target, look) if look is not None else _unknown(target, message)
    look = ask_http(target, timeout_s)
    if look is None:
        return _unknown(target, message)
    path = f"/v1/{target.signal}"
    if look.status in (404, 405) and not target.endpoint.endswith(path):
        variable = f"OTEL_EXPORTER_OTLP_{target.signal.upper()}_ENDPOINT"
        advice = f"{variable} must be complete, with the path, which is usually {path}"
        return _problem(target, "path", f"{target.endpoint} is not served ({message})", advice)
    if look.status in (404, 405) and look.content_type == "application/x-protobuf":
        advice = f"does the configuration of the receiver take {target.signal} at this port?"
        return _problem(target, "unserved", f"{target.endpoint} is not served ({message})", advice)
    if 300 <= look.status < 400:
        return _problem(target, "redirect", f"redirected to {look.location} ({message})", "use that address at once")
    if look.is_otlp:
        return _problem(target, "refused", f"refused ({message})", "look into the receiver's log")
    return _not_otlp(target, look)


def _not_otlp(target: Target, look: HttpAnswer) -> Finding:
    server = f" ({look.server})" if look.server else ""
    detail = (
        f"an HTTP server{server} answers at port {target.port} that is no receiver of OTLP: {look.status} {look.reason}"
    )
    return _problem(target, "not_otlp", detail, _CORRECT_IT)


def _unknown(target: Target, message: str) -> Finding:
    detail = f"what listens at port {target.port} speaks neither gRPC nor HTTP ({message})"
    return _problem(target, "not_otlp", detail, _CORRECT_IT)


def _problem(target: Target, reason: str, detail: str, advice: str, **data: Any) -> Finding:
    return _finding(target, Status.PROBLEM, detail, advice, reason=reason, **data)


def _finding(target: Target, status: Status, detail: str, advice: str, **data: Any) -> Finding:
    return Finding(AREA, target.signal, status, detail, advice, {"endpoint": target.endpoint, **data})
