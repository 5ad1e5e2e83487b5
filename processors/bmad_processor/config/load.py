"""From files to a `CollectorConfig`, or to a `ConfigError` with every problem at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bmad_processor.errors import ConfigError, Problem
from bmad_processor.fields import Config

from .agent_performance import AgentPerformanceConfig
from .complaints import check, one_of, unknown_key
from .expand import expand
from .merge import merge
from .profiles import load_profiles
from .schema import (
    AGENT_PERFORMANCE,
    SECTIONS,
    SINGLE,
    TYPES,
    CollectorConfig,
    ServiceConfig,
    count_workers,
    split_id,
    type_of,
)
from .sources import MAX_SOURCES, Source, read_setting, read_source, source_name
from .spellings import check_spellings, old_spellings
from .stock import instead_of
from .tree import Node, entries, find, items, problem, show
from .wiring import check_auth, check_clashes, check_destinations, check_pipelines, check_queues, check_store


def load_config(
    sources: Sequence[Source], environ: Mapping[str, str] = os.environ, *, settings: Sequence[str] = ()
) -> CollectorConfig:
    """The configuration in ``sources``, merged left to right, with ``settings`` (``key.path=value``) laid over it and
    ``environ`` put in.

    Raises `ConfigError` with every problem of every source, in the order of sources and lines. Sources that cannot be
    parsed are reported by themselves: what follows from half a configuration would only be noise.
    """
    root = read_tree(sources, environ, settings=settings)
    names = [source_name(source) for source in sources]
    config, problems, warnings = _check(root, environ)
    if config is None or problems:
        raise ConfigError(in_order(problems, names))
    return replace(config, warnings=tuple(in_order(warnings, names)))


def read_tree(
    sources: Sequence[Source], environ: Mapping[str, str] = os.environ, *, settings: Sequence[str] = ()
) -> Node:
    """The merged and expanded tree, not checked yet. Raises `ConfigError`."""
    if not sources:
        raise ConfigError([Problem("configuration", 0, "", "no file was given", "at least one")])
    if len(sources) > MAX_SOURCES:
        raise ConfigError([Problem("configuration", 0, "", f"{len(sources)} files", f"at most {MAX_SOURCES}")])
    documents: list[Node] = []
    problems: list[Problem] = []
    read = [read_source(source, environ) for source in sources] + [read_setting(text) for text in settings]
    for document, found in read:
        problems += found
        if document is not None:
            expanded, unknown = expand(document, environ)
            problems += unknown
            documents.append(expanded)
    if problems:
        raise ConfigError(in_order(problems, [source_name(source) for source in sources]))
    return merge(documents)


def _check(root: Node, environ: Mapping[str, str]) -> tuple[CollectorConfig | None, list[Problem], list[Problem]]:
    problems: list[Problem] = []
    for key, _ in entries(root):
        if key == "connectors":
            message = "there are no connectors here; pipelines may share receivers and exporters"
            problems.append(problem(root, (key,), message, at_key=True))
        elif key not in (*SECTIONS, "service"):
            message, expected = unknown_key(key, (*SECTIONS, "service"))
            problems.append(problem(root, (key,), message, expected, at_key=True))
    defined = {section: _components(root, section, problems) for section in SECTIONS}
    problems += _check_single(root)
    problems += check_spellings(root)
    profile_paths = _profile_paths(root)
    profiles, found = load_profiles(profile_paths, environ)
    problems += found
    if find(root, ("service",)) is None:
        message = "there is no service: nothing would run"
        problems.append(Problem(root.file, 0, "service", message, "service with extensions and pipelines"))
        return None, problems, []
    service, found = check(ServiceConfig, root, ("service",))
    problems += found
    if service is None:
        return None, problems, []
    pipelines, found = check_pipelines(root, service)
    problems += found
    used = {
        section: {component for p in pipelines.values() for component in getattr(p, section)}
        for section in ("receivers", "processors", "exporters")
    } | {"extensions": set(service.extensions)}
    running = {
        section: {key: config for key, config in configs.items() if key in used[section]}
        for section, configs in defined.items()
    }
    problems += check_destinations(root, pipelines, running["exporters"])
    problems += check_queues(root, service, running["exporters"])
    problems += check_clashes(root, running)
    problems += check_auth(root, running)
    problems += check_store(root, service, pipelines)
    performance = next((c for c in running["processors"].values() if isinstance(c, AgentPerformanceConfig)), None)
    config = CollectorConfig(
        receivers=running["receivers"],
        processors=running["processors"],
        exporters=running["exporters"],
        extensions=running["extensions"],
        pipelines=pipelines,
        profiles=profiles,
        profile_paths=tuple(profile_paths),
        workers=count_workers(service.workers),
        engine=performance.to_settings(profiles) if performance is not None else None,
        telemetry=service.telemetry,
    )
    return config, problems, [*old_spellings(root), *_unused(root, used)]


def _components(root: Node, section: str, problems: list[Problem]) -> dict[str, Config]:
    """The valid blocks of one section by id; what is wrong with the others goes to ``problems``."""
    node = find(root, (section,))
    if node is not None and not isinstance(node.value, dict | None):
        problems.append(problem(root, (section,), f"{show(node.value)} is not understood", "a mapping of components"))
    configs: dict[str, Config] = {}
    for component, _ in entries(node):
        path = (section, component)
        kind = type_of(section, component)
        if kind is None:
            problems.append(_unknown_type(root, section, component))
            continue
        config, found = check(TYPES[section][kind], root, path)
        problems += found
        if config is not None:
            configs[component] = config
    return configs


def _unknown_type(root: Node, section: str, component: str) -> Problem:
    parts = split_id(component)
    if parts is None:
        message = f"{show(component)} is not a component id"
        return problem(root, (section, component), message, "type or type/name, such as otlp/second", at_key=True)
    instead = instead_of(section, parts[0])
    if instead is not None:
        message = f"{show(parts[0])} is a component of the OpenTelemetry Collector that is not here; instead: {instead}"
        return problem(root, (section, component), message, one_of(tuple(TYPES[section])), at_key=True)
    message, expected = unknown_key(parts[0], tuple(TYPES[section]))
    message = message.replace("unknown key", f"unknown {section.removesuffix('s')} type", 1)
    return problem(root, (section, component), message, expected, at_key=True)


def _check_single(root: Node) -> list[Problem]:
    problems = []
    for section in SECTIONS:
        first: dict[str, str] = {}
        for component, _ in entries(find(root, (section,))):
            kind = type_of(section, component)
            if kind in SINGLE and first.setdefault(kind, component) != component:
                message = f"{kind} is configured more than once, also as {show(first[kind])}"
                problems.append(problem(root, (section, component), message, f"one {kind}", at_key=True))
    return problems


def _profile_paths(root: Node) -> list[Path]:
    for component, block in entries(find(root, ("processors",))):
        if type_of("processors", component) == AGENT_PERFORMANCE:
            # each is relative to the file that names it, which need not be the one that has the rest of the block
            named = [(item.file, item.value if item.text is None else item.text)
                     for _, item in items(find(block, ("profiles",)))]  # fmt: skip
            return [Path(file).parent / name for file, name in named if isinstance(name, str)]
    return []


def _unused(root: Node, used: Mapping[str, set[str]]) -> list[Problem]:
    warnings = []
    for section in SECTIONS:
        where = "service::extensions" if section == "extensions" else "any pipeline"
        for component, _ in entries(find(root, (section,))):
            if component not in used[section]:
                message = f"defined, but not used by {where}"
                warnings.append(problem(root, (section, component), message, at_key=True))
    return warnings


def in_order(problems: list[Problem], names: Sequence[str]) -> list[Problem]:
    """By source as given (others, such as profiles, after them), then by line; what was found first stays first."""
    rank = {name: position for position, name in reversed(list(enumerate(names)))}
    unique = list(dict.fromkeys(problems))
    return sorted(unique, key=lambda p: (rank.get(p.file, len(rank)), p.file if p.file not in rank else "", p.line))
