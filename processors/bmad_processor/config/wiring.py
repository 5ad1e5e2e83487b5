"""Checks how components are connected: what pipelines name must exist, fit, and not get in each other's way."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from bmad_processor.emit import storage_of
from bmad_processor.emit.config import OtlpHttpConfig
from bmad_processor.errors import Problem
from bmad_processor.fields import Config
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.security import AuthConfig, is_for_clients, is_for_listeners

from .complaints import one_of
from .schema import AGENT_PERFORMANCE, MEMORY_LIMITER, SIGNALS_OF, Pipeline, ServiceConfig, split_id, type_of
from .spellings import same_component
from .tree import Node, Path, entries, find, problem, render_path, show

_PIPELINES: Final[Path] = ("service", "pipelines")
_SIGNALS: Final = tuple(str(signal) for signal in Signal)

_TARGETS: Final = ("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint")

# the name and the numbers of one machine are one place to listen at
_LOCAL: Final = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}
_EVERYWHERE: Final = {"0.0.0.0", "::", ""}  # noqa: S104  compared with, not bound to


def check_pipelines(root: Node, service: ServiceConfig) -> tuple[dict[str, Pipeline], list[Problem]]:
    """The pipelines of the service, and everything that is wrong with how they name components."""
    pipelines: dict[str, Pipeline] = {}
    problems: list[Problem] = []
    if not service.pipelines:
        problems.append(problem(root, _PIPELINES, "there is no pipeline", f"at least one of {', '.join(_SIGNALS)}"))
    for pipeline_id, written in service.pipelines.items():
        path = (*_PIPELINES, pipeline_id)
        parts = split_id(pipeline_id)
        signal = Signal(parts[0]) if parts is not None and parts[0] in _SIGNALS else None
        if signal is None:
            message = f"{show(pipeline_id)} does not begin with a signal"
            expected = f"{one_of(_SIGNALS)}, or one of them with a name such as traces/second"
            problems.append(problem(root, path, message, expected, at_key=True))
        pipeline = Pipeline(signal or Signal.TRACES, written.receivers, written.processors, written.exporters)
        for section in ("receivers", "exporters"):
            if not getattr(pipeline, section):
                where = (*path, section)
                problems.append(problem(root, where, f"the pipeline has no {section}", "at least one", at_key=True))
        for section in ("receivers", "processors", "exporters"):
            problems += _check_list(root, (*path, section), section, getattr(pipeline, section))
        for position, processor in enumerate(pipeline.processors):
            if position and type_of("processors", processor) == MEMORY_LIMITER:
                message = f"{show(processor)} comes after other processors: what they hold would not be limited"
                problems.append(problem(root, (*path, "processors", position), message, "the first place"))
            fitting = SIGNALS_OF.get(type_of("processors", processor) or "")
            if signal is not None and fitting is not None and signal not in fitting:
                where = (*path, "processors", position)
                message = f"{show(processor)} cannot be used for {signal}"
                problems.append(problem(root, where, message, "in pipelines of " + " and ".join(fitting)))
        if signal is not None:
            pipelines[pipeline_id] = pipeline
    problems += _check_list(root, ("service", "extensions"), "extensions", service.extensions)
    return pipelines, problems


def _check_list(root: Node, path: Path, section: str, ids: tuple[str, ...]) -> Iterator[Problem]:
    defined = [key for key, _ in entries(find(root, (section,)))]
    for position, component in enumerate(ids):
        if component not in defined:
            near = [other for other in defined if same_component(section, component, other)]
            near = near or difflib.get_close_matches(component, defined, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            message = f"{show(component)} is not defined under {section}{hint}"
            yield problem(root, (*path, position), message, one_of(defined) if defined else f"a block under {section}")
        elif component in ids[:position]:
            yield problem(root, (*path, position), f"{show(component)} is listed twice")


def check_destinations(
    root: Node, pipelines: Mapping[str, Pipeline], exporters: Mapping[str, Config]
) -> Iterator[Problem]:
    """Exporters in pipelines of a signal for which they have no address."""
    for pipeline_id, pipeline in pipelines.items():
        for position, component in enumerate(pipeline.exporters):
            config = exporters.get(component)
            if isinstance(config, OtlpHttpConfig) and config.url(pipeline.signal) is None:
                path = (*_PIPELINES, pipeline_id, "exporters", position)
                message = f"{show(component)} has nowhere to send {pipeline.signal}"
                yield problem(root, path, message, f"endpoint or {pipeline.signal}_endpoint in exporters::{component}")


def check_store(root: Node, service: ServiceConfig, pipelines: Mapping[str, Pipeline]) -> Iterator[Problem]:
    """What learns or answers needs the store that remembers."""
    types = {type_of("extensions", component) for component in service.extensions}
    if "sqlite" in types:
        return
    processors = {p for pipeline in pipelines.values() for p in pipeline.processors}
    needing = [p for p in sorted(processors) if type_of("processors", p) == AGENT_PERFORMANCE]
    needing += [component for component in service.extensions if type_of("extensions", component) == "api"]
    for component in needing:
        message = f"{show(component)} cannot run without a store"
        yield problem(root, ("service", "extensions"), message, "sqlite listed here", at_key=True)


def check_auth(root: Node, running: Mapping[str, Mapping[str, Config]]) -> Iterator[Problem]:
    """Authenticators that components name must run, be some, and have what that side needs."""
    authenticators = [key for key, config in running["extensions"].items() if _is_authenticator(config)]
    for section, is_fitting, needed in (
        ("receivers", is_for_listeners, "htpasswd"),
        ("extensions", is_for_listeners, "htpasswd"),
        ("exporters", is_for_clients, "client_auth"),
    ):
        for component, config in running[section].items():
            for inner, auth in _auths(config):
                path, named = (section, component, *inner, "authenticator"), auth.authenticator
                found = running["extensions"].get(named)
                if found is None or not _is_authenticator(found):
                    message = f"{show(named)} is not an authenticator among service::extensions"
                    yield problem(root, path, message, one_of(authenticators) if authenticators else
                                  "an extension of type bearertokenauth or basicauth")  # fmt: skip
                elif not is_fitting(found):
                    yield problem(root, path, f"{show(named)} has no {needed}", f"{needed} in extensions::{named}")


def _is_authenticator(config: Config) -> bool:
    return is_for_listeners(config) or is_for_clients(config)


def _auths(config: BaseModel) -> Iterator[tuple[Path, AuthConfig]]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, AuthConfig):
            yield (name,), value
        elif isinstance(value, BaseModel):
            for inner, auth in _auths(value):
                yield (name, *inner), auth


def check_queues(root: Node, service: ServiceConfig, exporters: Mapping[str, Config]) -> Iterator[Problem]:
    """Queues that are to be kept by an extension that does not run, or keeps nothing."""
    keepers = [component for component in service.extensions if type_of("extensions", component) == "sqlite"]
    for component, config in exporters.items():
        storage = storage_of(config)
        if storage is not None and storage not in keepers:
            message = f"{show(storage)} is no storage that runs"
            expected = one_of(keepers) if keepers else "the id of a sqlite extension, listed in service::extensions"
            yield problem(root, ("exporters", component, "sending_queue", "storage"), message, expected)


def check_clashes(root: Node, running: Mapping[str, Mapping[str, Config]]) -> Iterator[Problem]:
    """Two components that would listen at one address or write one file, and exporters that send to ourselves."""
    listening: list[tuple[Path, str, int]] = []
    for section in ("receivers", "extensions"):
        for component, config in running[section].items():
            for inner, endpoint in _endpoints(config):
                if "/" in endpoint:  # a socket file
                    continue
                host, port = split_endpoint(endpoint)
                path = (section, component, *inner)
                if (other := _at(listening, host, port, is_listener=True)) is not None:
                    yield problem(root, path, f"{show(endpoint)} is used twice, also by {_name(other)}", "another port")
                elif port:
                    listening.append((path, host, port))
    for component, config in running["exporters"].items():
        for name in _TARGETS:
            address = getattr(config, name, None)
            target = _target(address) if isinstance(address, str) else None
            if target is not None and (other := _at(listening, *target)) is not None:
                message = f"{show(address)} is this collector's own {_name(other)}: telemetry would go in circles"
                yield problem(root, ("exporters", component, name), message, "the address of a backend")
    written: dict[str, str] = {}
    for component, config in running["exporters"].items():
        file = getattr(config, "path", None)
        if isinstance(file, str) and written.setdefault(file, component) != component:
            path = ("exporters", component, "path")
            yield problem(root, path, f"{show(file)} is written twice, also by {written[file]}", "another file")


def _endpoints(config: BaseModel) -> Iterator[tuple[Path, str]]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name == "endpoint" and isinstance(value, str):
            yield (name,), value
        elif isinstance(value, BaseModel):
            for inner, endpoint in _endpoints(value):
                yield (name, *inner), endpoint


def _at(listening: list[tuple[Path, str, int]], host: str, port: int, *, is_listener: bool = False) -> Path | None:
    """Who listens at that address already. All interfaces include this machine's own, and for a second listener any."""
    host = _LOCAL.get(host, host)
    for path, other_host, other_port in listening:
        other = _LOCAL.get(other_host, other_host)
        if port != other_port:
            continue
        overlaps = is_listener or {host, other} <= _EVERYWHERE | {"127.0.0.1"}
        if host == other or (overlaps and (host in _EVERYWHERE or other in _EVERYWHERE)):
            return path
    return None


def _target(endpoint: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname or "", port) if port else None


def _name(path: Path) -> str:
    return render_path(path[:-1])
