"""What a service adds to the configuration files it was started with: its state directory, interval and addresses.

It is written as one more configuration file and laid over the others, so that what runs can be read there, and
``bmad-otel validate`` understands it.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bmad_processor.config import ApiConfig, CollectorConfig, load_config
from bmad_processor.config.schema import AGENT_PERFORMANCE, type_of
from bmad_processor.config.shipped import shipped_config, shipped_profiles
from bmad_processor.errors import StartError
from bmad_processor.receive import OtlpReceiverConfig
from bmad_processor.settings import SECOND
from bmad_processor.store.config import SqliteConfig

from .home import Home

MIN_INTERVAL_S: Final = 1.0
MAX_INTERVAL_S: Final = 60.0

_MS: Final = 1_000_000

_HEADER: Final = "# Written by every start of the service; edit the files it is laid over instead.\n"


@dataclass(frozen=True, slots=True)
class Options:
    """What a start may ask for; None leaves what the configuration says. Addresses are host:port."""

    interval_s: float | None = None
    grpc: str | None = None
    http: str | None = None
    api: str | None = None
    commit_interval_ms: int | None = None


def prepare(home: Home, configs: Sequence[Path], options: Options) -> tuple[list[Path], CollectorConfig]:
    """The configuration files to run, the last one being the overlay written here, and what they amount to.

    Without ``configs`` the shipped configuration is used, with profiles copied to ``home`` at the first time, so that
    they can be edited. Raises ConfigError with every problem, or StartError.
    """
    if configs:
        paths = [path.absolute() for path in configs]
        profiles = None
    else:
        paths = [shipped_config() / "bmad-collector.yaml"]
        profiles = _own_profiles(home, shipped_profiles())
    tree = _overlay(home, load_config(paths), options, profiles)
    try:
        home.overlay.write_text(_HEADER + json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write {home.overlay}: {error.strerror}") from error
    paths.append(home.overlay)
    return paths, load_config(paths)


def _own_profiles(home: Home, shipped: Path) -> Path:
    """The user's profiles; the shipped ones are copied as a whole or not at all."""
    if not home.profiles.exists():
        try:
            temporary = Path(tempfile.mkdtemp(dir=home.path, prefix=".profiles."))
            try:
                for file in sorted(shipped.glob("*.yaml")):
                    # contents alone: an installed package may be read-only
                    shutil.copyfile(file, temporary / file.name)
                temporary.chmod(0o755)
                temporary.rename(home.profiles)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise StartError(f"cannot copy the profiles to {home.profiles}: {error.strerror}") from error
    return home.profiles


def _overlay(home: Home, base: CollectorConfig, options: Options, profiles: Path | None) -> dict[str, Any]:
    sqlite = _id_of(base.extensions, SqliteConfig) or "sqlite"
    api = _id_of(base.extensions, ApiConfig) or "api"
    tree: dict[str, Any] = {
        # `$` begins a variable in a configuration
        "extensions": {sqlite: {"path": str(home.database).replace("$", "$$")}},
        "service": {"extensions": list(dict.fromkeys([*base.extensions, sqlite, api]))},
    }
    if options.api is not None or api not in base.extensions:
        tree["extensions"][api] = {} if options.api is None else {"endpoint": options.api}
    receiver = _id_of(base.receivers, OtlpReceiverConfig)
    protocols = {
        protocol: {"endpoint": endpoint}
        for protocol, endpoint in (("grpc", options.grpc), ("http", options.http))
        if endpoint is not None
    }
    if protocols:
        tree["receivers"] = {receiver or "otlp": {"protocols": protocols}}
    performance: dict[str, Any] = {} if profiles is None else {"profiles": [str(profiles).replace("$", "$$")]}
    if options.interval_s is not None:
        window_ns = base.engine.window_ns if base.engine is not None else 60 * SECOND
        performance |= _interval(options.interval_s, window_ns)
    if options.commit_interval_ms is not None:
        performance["commit_interval"] = f"{options.commit_interval_ms}ms"
    processor = next((key for key in base.processors if type_of("processors", key) == AGENT_PERFORMANCE), None)
    if processor is not None and performance:
        tree["processors"] = {processor: performance}
    return tree


def _interval(interval_s: float, window_ns: int) -> dict[str, str]:
    """The interval in whole milliseconds, and the window as the next whole multiple of it."""
    interval_ms = round(interval_s * 1000)
    window_ms = math.ceil(window_ns / _MS / interval_ms) * interval_ms
    if window_ms > 3_600_000:  # the longest window there may be; an interval never is that long
        window_ms -= interval_ms
    return {"monitoring_interval": f"{interval_ms}ms", "evaluation_window": f"{window_ms}ms"}


def _id_of(components: Mapping[str, object], kind: type) -> str | None:
    return next((key for key, config in components.items() if isinstance(config, kind)), None)
