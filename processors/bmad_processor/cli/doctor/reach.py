"""The way to the receiver: can its name be resolved, is its port open, is TLS as the endpoint says?"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

from . import network
from .finding import Finding, Status
from .network import Address, Unreachable
from .speaks import OTHER, PROTOCOL_NAMES, SIBLINGS, alpn_of, speaks, speaks_tls

if TYPE_CHECKING:
    from bmad_otel._delivery.target import Target

AREA: Final = "sending"

START_HINT: Final = (
    "start a collector (bmad-otel start-monitoring, or bmad-otel collector --config FILE), or name its address"
)

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_SOON_S: Final = 14 * 86_400
"""A certificate that ends within two weeks should have been renewed."""


@dataclass
class Way:
    """What was found on the way; ``address`` is None when nothing took a connection, or nothing was tried."""

    findings: list[Finding] = field(default_factory=list)
    address: Address | None = None
    is_open: bool = True
    """Whether sending is worth a try."""


def explore(target: Target, timeout_s: float) -> Way:
    """Go the way of a request as far as it goes."""
    way = Way()
    proxy = _proxy_of(target)
    if target.port is None or proxy is not None:
        detail = f"requests go through the proxy {proxy}" if proxy else f"{target.endpoint} is looked up by gRPC itself"
        advice = "if the receiver is not to be reached through it, add its name to NO_PROXY" if proxy else ""
        way.findings.append(Finding(AREA, "way", Status.WARNING if proxy else Status.SKIPPED, detail, advice))
        return way
    for finding in _explore(way, target, target.port, timeout_s):
        way.findings.append(finding)
        if finding.status is Status.PROBLEM:
            way.is_open = False
            break
    return way


def _explore(way: Way, target: Target, port: int, timeout_s: float) -> Iterator[Finding]:
    server = target.server
    try:
        addresses = network.resolve(server, port, timeout_s)
    except Unreachable as error:
        advice = "correct the host in the endpoint, or make the name known to this machine (DNS, /etc/hosts)"
        yield Finding(AREA, "name", Status.PROBLEM, f"{server}: {error}", advice, {"reason": error.reason})
        return
    hosts = [address[1][0] for address in addresses]
    shown = server if hosts == [server] else f"{server} is {', '.join(hosts)}"
    yield Finding(AREA, "name", Status.OK, shown, data={"addresses": hosts})
    try:
        reached = network.connect(addresses, timeout_s)
    except Unreachable as error:
        yield _closed(error, target, port, timeout_s)
        return
    way.address = reached.address
    took_ms = round(reached.took_s * 1000, 1)
    others = f" ({'; '.join(reached.failed)})" if reached.failed else ""
    yield Finding(
        AREA, "port", Status.OK, f"{port} is open, connected in {took_ms:g} ms{others}", data={"connect_ms": took_ms}
    )
    if target.is_secure:
        yield _tls(reached.address, target, timeout_s)


def _closed(error: Unreachable, target: Target, port: int, timeout_s: float) -> Finding:
    data = {"reason": error.reason}
    if error.reason == "timeout":
        detail = f"{port} does not answer: {error}"
        advice = "a firewall between here and there drops the packets, or the machine is down"
        return Finding(AREA, "port", Status.PROBLEM, detail, advice, data)
    detail = f"nothing takes connections at port {port} of {target.server}: {error}"
    other, sibling = OTHER[target.protocol], SIBLINGS.get(port)
    if sibling is not None and speaks(target, other, timeout_s, port=sibling):
        advice = f"port {sibling} takes {PROTOCOL_NAMES[other]}: set OTEL_EXPORTER_OTLP_PROTOCOL={other} and that port"
    else:
        advice = f"{START_HINT} with --endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"
        if target.server in _LOOPBACK and _is_container():
            advice += f"; here {target.server} is the container itself, not the machine it runs on"
    return Finding(AREA, "port", Status.PROBLEM, detail, advice, data)


def _is_container() -> bool:
    return Path("/.dockerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ


def _tls(address: Address, target: Target, timeout_s: float) -> Finding:
    client = None if target.client_certificate is None else (target.client_certificate, target.client_key)
    try:
        done = network.handshake(
            address,
            target.server,
            timeout_s,
            alpn=alpn_of(target.protocol),
            certificate=target.certificate,
            client=client,
        )
    except ssl.SSLCertVerificationError as error:
        advice = "name the authority's certificate in OTEL_EXPORTER_OTLP_CERTIFICATE, or use the name it was made for"
        detail = f"the certificate is not trusted: {error.verify_message}"
        return Finding(AREA, "tls", Status.PROBLEM, detail, advice, {"reason": "untrusted"})
    except TimeoutError:
        detail = f"no answer to the TLS handshake within {timeout_s:g} s"
        advice = "if the server does not use TLS, write http:// instead of https://"
        return Finding(AREA, "tls", Status.PROBLEM, detail, advice, {"reason": "timeout"})
    except OSError as error:
        return _no_tls(error, address, target, timeout_s)
    data = {"version": done.version, "alpn": done.alpn}
    if target.protocol == "grpc" and done.alpn is None:
        detail = f"{done.version}, but HTTP/2 was not agreed on (ALPN), which gRPC needs"
        advice = "if this is a port for OTLP/HTTP, set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        return Finding(AREA, "tls", Status.WARNING, detail, advice, data)
    if done.expires_s is not None and done.expires_s - time.time() < _SOON_S:
        days = max(0, round((done.expires_s - time.time()) / 86_400))
        return Finding(AREA, "tls", Status.WARNING, f"the certificate ends in {days} days", "renew it", data)
    return Finding(AREA, "tls", Status.OK, f"{done.version}, the certificate is trusted", data=data)


def _no_tls(error: OSError, address: Address, target: Target, timeout_s: float) -> Finding:
    if speaks_tls(address, target.server, timeout_s):
        detail = f"the TLS handshake failed: {error}"
        advice = (
            "the server may want a client certificate: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and "
            "OTEL_EXPORTER_OTLP_CLIENT_KEY"
        )
        return Finding(AREA, "tls", Status.PROBLEM, detail, advice, {"reason": "handshake"})
    detail = f"the server does not speak TLS at port {target.port}"
    if target.endpoint.startswith("https://"):
        advice = "write http:// instead of https:// in the endpoint"
    else:  # gRPC takes an address without a scheme for a secure one
        advice = f"write http://{target.endpoint}, or set OTEL_EXPORTER_OTLP_INSECURE=true"
    return Finding(AREA, "tls", Status.PROBLEM, detail, advice, {"reason": "no_tls"})


def _proxy_of(target: Target) -> str | None:
    """The proxy that the variables want, without its credentials."""
    proxies = getproxies()
    proxy = proxies.get("grpc") if target.protocol == "grpc" else None
    proxy = proxy or proxies.get("https" if target.is_secure else "http")
    if not proxy or proxy_bypass(f"{target.server}:{target.port}"):
        return None
    return proxy.rpartition("@")[2].removeprefix("http://")
