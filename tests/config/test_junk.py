"""Whatever is in a file: a configuration or a `ConfigError`, nothing else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bmad_processor.config import load_config
from bmad_processor.config.describe import describe
from bmad_processor.config.profiles import ProfileConfig
from bmad_processor.config.schema import ALIASES, SECTIONS, TYPES
from bmad_processor.errors import ConfigError
from bmad_processor.metric_types import METRIC_TYPES

_KEYS = sorted(
    {part for types in TYPES.values() for model in types.values() for o in describe(model) for part in o.path}
    | {part for o in describe(ProfileConfig) for part in o.path}
    | {*SECTIONS, "service", "pipelines", "traces", "logs", "metrics", "otlp/x", "cpu_usage", "warning", "<<"}
    | {kind for types in TYPES.values() for kind in types}
    | {kind for types in ALIASES.values() for kind in types}
    | set(METRIC_TYPES)
)
_TEXTS = ["5s", "60%", "64MiB", "localhost:1", "http://x:1/", "${env:A}", "${file:.}", "$", "*", "9" * 400 + "s"]
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(_KEYS) | st.text(max_size=8)
    | st.sampled_from(_TEXTS)
)  # fmt: skip
_junk = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_components = {
    section: st.dictionaries(st.sampled_from([*types, *ALIASES.get(section, {})]), _junk, max_size=2)
    for section, types in TYPES.items()
}
_plausible = st.fixed_dictionaries(
    {},
    optional={
        **{section: components | _junk for section, components in _components.items()},
        "service": _junk | st.fixed_dictionaries(
            {"pipelines": st.dictionaries(
                st.sampled_from(["traces", "logs/2", "x"]),
                st.fixed_dictionaries({}, optional={name: _junk | st.just(["otlp"]) | st.just(["debug", "file"])
                                                    for name in ("receivers", "processors", "exporters")}),
                max_size=2)},
            optional={"extensions": _junk}),
    },
)  # fmt: skip


def _try(path: Path) -> None:
    problems = None
    try:
        load_config([path], {"A": "1"})
    except ConfigError as error:
        problems = error.problems
    assert problems is None or problems
    assert all(str(problem).isprintable() for problem in problems or ())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=_plausible | _junk)
def test_nested_junk(tmp_path: Path, data: Any) -> None:
    stream = io.BytesIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    path = tmp_path / "junk.yaml"
    path.write_bytes(stream.getvalue())
    _try(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="ab:-?&*!|>%@`{}[],#'\"\n\t \\~<=0.1e${}\0\ud800ü", max_size=40))
def test_junk_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "junk.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    _try(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.fixed_dictionaries({"agent": st.just("a") | _junk}, optional={
    "thresholds": st.dictionaries(st.sampled_from([*METRIC_TYPES, "custom:x"]), _junk | st.dictionaries(
        st.sampled_from(["info", "warning", "critical", "emergency"]), _scalars)),
    "scaling": _junk, "monitoring_enabled": _scalars}))  # fmt: skip
def test_junk_profiles(tmp_path: Path, data: Any) -> None:
    with (tmp_path / "profile.yaml").open("wb") as stream:
        YAML(typ="safe", pure=True).dump(data, stream)
    path = tmp_path / "config.yaml"
    path.write_text("processors: {agent_performance: {profiles: [profile.yaml]}}")
    with pytest.raises(ConfigError):
        load_config([path], {})
