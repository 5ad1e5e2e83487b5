"""Good configurations: what comes out, defaults, merging and what ships."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bmad_processor.agent_names import CANONICAL
from bmad_processor.config import CollectorConfig, Pipeline, load_config
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.emit.config import FileConfig, OtlpGrpcConfig, OtlpHttpConfig
from bmad_processor.errors import ConfigError
from bmad_processor.model import Signal
from bmad_processor.settings import EngineSettings, Profiles
from bmad_processor.store.config import SqliteConfig

SHIPPED = Path(__file__).parents[2] / "collector-config"
GOOD = Path(__file__).parent / "testdata" / "good"
SECOND = 1_000_000_000


def load(tmp_path: Path, *texts: str, environ: dict[str, str] | None = None) -> CollectorConfig:
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    return load_config(paths, environ or {})


def test_main_file_works_without_a_backend() -> None:
    config = load_config([SHIPPED / "bmad-collector.yaml"], {})
    assert config.warnings == ()
    assert list(config.exporters) == ["debug"]
    assert config.pipelines == {
        "traces": Pipeline(Signal.TRACES, ("otlp",), ("agent_performance",), ("debug",)),
        "metrics": Pipeline(Signal.METRICS, ("otlp",), ("agent_performance",), ("debug",)),
        "logs": Pipeline(Signal.LOGS, ("otlp",), (), ("debug",)),
    }
    assert config.extensions["sqlite"] == SqliteConfig(path="./bmad-otel.db")
    assert config.engine is not None
    assert set(config.profiles.by_agent) == set(CANONICAL)


def test_state_path_comes_from_the_environment() -> None:
    config = load_config([SHIPPED / "bmad-collector.yaml"], {"BMAD_OTEL_STATE": "/var/lib/state.db"})
    assert config.extensions["sqlite"] == SqliteConfig(path="/var/lib/state.db")


def test_forward_file_adds_a_backend() -> None:
    paths = [SHIPPED / "bmad-collector.yaml", SHIPPED / "bmad-collector-forward.yaml"]
    config = load_config(paths, {"BMAD_OTEL_BACKEND": "tempo.example:4317"})
    assert config.warnings == ()
    backend = config.exporters["otlp_grpc"]
    assert isinstance(backend, OtlpGrpcConfig)
    assert backend.endpoint == "tempo.example:4317"
    assert all(pipeline.exporters == ("debug", "otlp_grpc") for pipeline in config.pipelines.values())
    assert config.pipelines["traces"].processors == ("agent_performance",)


def test_production_file_is_right_and_keeps_what_it_acknowledged() -> None:
    environ = {"BMAD_OTEL_BACKEND": "tempo.example:4317", "BMAD_OTEL_BACKEND_TOKEN": "abc", "BMAD_OTEL_TOKEN": "def",
               "BMAD_OTEL_CERT": "cert.pem", "BMAD_OTEL_CERT_KEY": "key.pem"}  # fmt: skip
    config = load_config([SHIPPED / "bmad-collector-production.yaml"], environ)
    assert config.warnings == ()
    backend = config.exporters["otlp_grpc"]
    assert isinstance(backend, OtlpGrpcConfig)
    assert (backend.sending_queue.storage, backend.is_insecure) == ("sqlite", False)
    assert all(pipeline.processors[0] == "memory_limiter" for pipeline in config.pipelines.values())
    for name in environ:
        with pytest.raises(ConfigError, match=f"{name} is not set"):
            load_config([SHIPPED / "bmad-collector-production.yaml"], {k: v for k, v in environ.items() if k != name})


def test_settings_not_written_are_those_of_the_engine() -> None:
    # embedded, an engine is asked once an interval; behind receivers bad news cannot wait for that
    assert AgentPerformanceConfig().to_settings(Profiles()) == EngineSettings(early_interval_ns=SECOND // 50)


def test_stock_file_names_only_what_it_defines() -> None:
    stock = YAML(typ="safe", pure=True).load(SHIPPED / "otel-collector" / "config.yaml")
    assert set(stock) == {"receivers", "processors", "exporters", "service"}
    for pipeline in stock["service"]["pipelines"].values():
        for section, ids in pipeline.items():
            assert set(ids) <= set(stock[section])


def test_stock_names_units_and_expansion() -> None:
    config = load_config([GOOD / "stock_names_and_units.yaml"], {"MAX_ALERTS": "50", "KEY": "0123"})
    performance = config.agent_performance
    assert performance is not None
    assert performance.alerts.max_alerts == 50
    assert performance.alerts.cooldown == 90 * SECOND
    assert config.engine is not None
    assert (config.engine.interval_ns, config.engine.window_ns) == (10 * SECOND, 90 * SECOND)
    assert config.engine.clear_margin_ratio == 0.1
    otlp = config.exporters["otlp"]
    assert isinstance(otlp, OtlpGrpcConfig)
    assert otlp.headers == {"x-key": "0123", "x-price": "$5"}, "an expanded text that looks like a number stays text"
    assert otlp.sending_queue.max_bytes == 16 * 2**20
    assert isinstance(config.exporters["otlphttp/second"], OtlpHttpConfig)
    assert config.exporters["file"] == FileConfig(path="0123")
    assert [(w.line, w.path, w.message) for w in config.warnings] == [
        (11, "exporters::otlp", "'otlp' is the old name of 'otlp_grpc', understood for now"),
        (15, "exporters::otlphttp/second", "'otlphttp' is the old name of 'otlp_http', understood for now"),
        (17, "exporters::debug", "defined, but not used by any pipeline"),
        (18, "extensions::api", "defined, but not used by service::extensions"),
    ]
    assert set(config.extensions) == {"sqlite"}, "only what is listed is started"


def test_without_agent_performance_there_is_no_engine(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "receivers: {otlp: {protocols: {http: }}}\nexporters: {debug: }\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}",
    )
    assert config.engine is None
    assert config.profiles == Profiles()


def test_empty_sections_and_anchors_are_fine(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "receivers: {otlp: {protocols: {grpc: }}}\nprocessors: {agent_performance: {profiles: }}\nextensions:\n"
        "exporters: {debug: }\nservice:\n  extensions:\n  pipelines:\n"
        "    traces: &way {receivers: [otlp], processors: , exporters: [debug]}\n"
        "    metrics: *way\n    logs: {exporters: [debug], <<: *way}\n",
    )
    assert {p.receivers for p in config.pipelines.values()} == {("otlp",)}


BASE = (
    "receivers: {otlp: {protocols: {grpc: {endpoint: localhost:1}, http: }}}\nexporters: {debug: , file: {path: a}}\n"
    "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug, file]}}}\n"
)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("{}", ("localhost:1", True, ("debug", "file"), "a")),
        ("", ("localhost:1", True, ("debug", "file"), "a")),
        ("receivers: {otlp: {protocols: {grpc: {endpoint: l:2}}}}", ("l:2", True, ("debug", "file"), "a")),
        ("receivers: {otlp: {protocols: {grpc: }}}", ("localhost:4317", True, ("debug", "file"), "a")),
        ("service: {pipelines: {traces: {exporters: [file]}}}", ("localhost:1", True, ("file",), "a")),
        ("exporters: {file: {path: b}}", ("localhost:1", True, ("debug", "file"), "b")),
    ],
    ids=["empty mapping", "empty file", "scalar replaced", "null takes defaults", "list replaced", "key by key"],
)  # fmt: skip
def test_merging(tmp_path: Path, over: str, expected: tuple[object, ...]) -> None:
    config = load(tmp_path, BASE, over)
    otlp, file = config.receivers["otlp"], config.exporters["file"]
    protocols = otlp.protocols  # type: ignore[attr-defined]
    exporters = config.pipelines["traces"].exporters
    assert (protocols.grpc.endpoint, protocols.http is not None, exporters, file.path) == expected  # type: ignore[attr-defined]


def test_profiles_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "over" / "mine").mkdir(parents=True)
    (tmp_path / "over" / "mine" / "rnd.yml").write_text("agent: rnd-agent\nscaling: {max_instances: 9}\n")
    base, over = tmp_path / "base.yaml", tmp_path / "over" / "over.yaml"
    base.write_text(
        "receivers: {otlp: {protocols: {grpc: }}}\nprocessors: {agent_performance: {history: {size: 7}}}\n"
        "exporters: {debug: }\nextensions: {sqlite: }\n"
        "service: {extensions: [sqlite],"
        " pipelines: {traces: {receivers: [otlp], processors: [agent_performance], exporters: [debug]}}}"
    )
    over.write_text("processors: {agent_performance: {profiles: [mine, mine/rnd.yml]}}")
    config = load_config([base, over], {})
    assert config.profiles.by_agent["RnD"].scaling.max_instances == 9
    assert config.agent_performance is not None
    assert config.agent_performance.history.size == 7
