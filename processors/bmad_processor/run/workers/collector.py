"""A collector of several processes, seen from outside as one."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final, NoReturn

from bmad_processor.config import CollectorConfig
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.errors import ConfigError, ProcessorError, StartError
from bmad_processor.run.components import ApiFactory, Surroundings, store_config, wanted_extensions
from bmad_processor.run.deadline import Deadline
from bmad_processor.run.graph import LISTENER_SHARE_S, STOP_DEADLINE_S
from bmad_processor.run.health import CANNOT_DELIVER
from bmad_processor.run.part import Part
from bmad_processor.run.profiles import ProfileKeeper
from bmad_processor.run.reloads import Reloads
from bmad_processor.run.shelf import Shelf
from bmad_processor.run.telemetry_parts import SelfTelemetry
from bmad_processor.self_telemetry import Health, HealthCheckConfig, Identity, Trouble
from bmad_processor.settings import SECOND, Profiles
from bmad_processor.store import share
from bmad_processor.store.settings_codec import dump_settings

from .control import HEALTH, PROFILES, STATUS
from .reload import Ports, check_changeable, exchange
from .start import Start, config_of_worker, socket_files
from .sums import summed
from .supervisor import Supervisor

_LOG: Final = logging.getLogger("bmad_otel.collector")

_ASK_S: Final = 2.0
"""A worker that does not answer within this is left out of the answer."""

_HEALTH_S: Final = 1.0
"""Who asks for it waits a second or two."""

_RELOAD_S: Final = 15.0
"""A worker closes its doors, exchanges what differs and opens them, or has it as it was."""


class WorkersCollector:
    """As `Collector`, with the telemetry taken by ``config.workers`` processes.

    ``on_give_up`` is called when one of them cannot be kept running: the collector waits to be stopped then.
    """

    def __init__(
        self,
        config: CollectorConfig,
        *,
        build_api: ApiFactory | None = None,
        is_colored: bool = False,
        on_give_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._build_api = build_api
        self._is_colored = is_colored
        self._on_give_up = on_give_up
        self._started_s = time.time()
        self._life = threading.Lock()
        """Held while it starts or stops."""
        self._stack = ExitStack()
        self._ports = Ports()
        self._is_running = False
        self._reloads = Reloads(time.time_ns)
        self._identity = Identity()
        self._supervisor: Supervisor | None = None
        self._profiles: ProfileKeeper | None = None
        self._extensions: Shelf[Part] = Shelf(LISTENER_SHARE_S)

    def __enter__(self) -> WorkersCollector:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises StartError or StoreError; everything started before is stopped again then."""
        with self._life:
            try:
                self._start()
            except BaseException:
                self._stop()
                raise
        _LOG.info("ready: %s", ", ".join(f"{name} {address}" for name, address in self.endpoints.items()))

    def stop(self) -> None:
        """What answers questions, then all workers under one deadline, then store and ports. Safe to call twice."""
        with self._life:
            self._stop()

    def _start(self) -> None:
        config = self._config
        keeps = []
        if (store := store_config(config)) is not None:
            performance = config.agent_performance or AgentPerformanceConfig()
            keeps.append(
                self._stack.enter_context(
                    share(store.path, workers=config.workers, history_size=performance.history.size)
                )
            )
        self._stack.callback(self._ports.release)
        self._ports.take(config)(True)
        self._supervisor = Supervisor(self._starts(config), keeps=keeps, on_give_up=self._on_give_up)
        self._supervisor.start()
        if config.engine is not None and store is not None:
            self._profiles = ProfileKeeper(
                config.profile_paths, os.environ, self._judge_by, interval_s=config.engine.interval_ns / SECOND
            )
            self._profiles.start(config.profiles)
        for wanted in wanted_extensions(self._surroundings(config)):
            self._extensions.start(wanted)
        self._is_running = True

    def _surroundings(self, config: CollectorConfig) -> Surroundings:
        return Surroundings(
            config,
            status=self.status,
            host=lambda: self._supervisor,
            flush=lambda: None,  # each worker does it before it commits
            put_profile=None if self._profiles is None else self._profiles.put,
            build_api=self._build_api,
            consumer=_takes_nothing,
            admission=_takes_nothing,
            health=self.health,
            metrics=SelfTelemetry(self.status, self._identity, "detailed"),
        )

    def reload(self, config: CollectorConfig) -> list[str]:
        """As `Collector.reload`: all workers and what answers questions, or nothing at all."""
        with self._life:
            if not self._is_running:
                return []
            return self._reloads.carry_out(lambda: self._reload(config), if_nothing="workers have it")

    def reject(self, error: ConfigError) -> None:
        """As `Collector.reject`."""
        self._reloads.reject(error)

    def _reload(self, config: CollectorConfig) -> list[str]:
        old = self._config
        check_changeable(old, config)
        assert self._supervisor is not None, "it runs"
        if config.engine is not None:  # what programs registered lies above the files; the keeper joins them below
            config = replace(config, engine=replace(config.engine, profiles=old.profiles), profiles=old.profiles)
        settle_ports = self._ports.take(config)
        if why := self._supervisor.reload(self._starts(config), _RELOAD_S):
            settle_ports(False)
            raise StartError(why)
        try:
            said = exchange(self._extensions, wanted_extensions(self._surroundings(config)))
        except ProcessorError:
            settle_ports(False)
            self._supervisor.reload(self._starts(old), _RELOAD_S)
            raise
        settle_ports(True)
        self._config = config
        if self._profiles is not None and config.engine is not None:
            self._profiles.look_at(config.profile_paths, interval_s=config.engine.interval_ns / SECOND)
        return said

    def _stop(self) -> None:
        self._is_running = False
        deadline = Deadline(STOP_DEADLINE_S)
        self._extensions.stop_all(deadline)
        if self._profiles is not None:
            self._profiles.stop()
        if self._supervisor is not None:
            self._supervisor.stop(deadline.left_s)
        self._stack.close()

    def _starts(self, config: CollectorConfig) -> list[bytes]:
        endpoints = self._ports.endpoints()
        return [
            Start(
                version("bmad-otel"), n, config.workers, config_of_worker(config, n, endpoints), self._is_colored
            ).frame()
            for n in range(config.workers)
        ]

    def _judge_by(self, profiles: Profiles) -> None:
        """Every worker, those that are started later included."""
        assert self._supervisor is not None, "profiles come after the workers"
        assert self._config.engine is not None, "profiles are of an engine"
        engine = replace(self._config.engine, profiles=profiles)
        self._config = replace(self._config, profiles=profiles, engine=engine)
        self._supervisor.replace_starts(self._starts(self._config))
        self._supervisor.ask_all(PROFILES, _ASK_S, settings=dump_settings(engine))

    @property
    def config(self) -> CollectorConfig:
        """What it runs by."""
        return self._config

    @property
    def endpoints(self) -> dict[str, str]:
        """Component to the address it really listens on, such as ``otlp/grpc`` and ``api``."""
        found = {name: getattr(part, "endpoint", None) for name, part in self._extensions.parts.items()}
        return {
            **{name: endpoint for name, endpoint in found.items() if endpoint is not None},
            **self._ports.endpoints(),
            **socket_files(self._config),
        }

    def health(self) -> Health:
        """Ready when every worker is; what is wrong with each of them."""
        supervisor = self._supervisor
        if supervisor is None or not self._is_running:
            return Health((Trouble("service", "starting", "not every worker listens yet"),))
        troubles: list[Trouble] = []
        # a worker does not have the check, whose configuration says what matters
        checks = (block for block in self._config.extensions.values() if isinstance(block, HealthCheckConfig))
        exporters_matter = any(check.include_exporters for check in checks)
        answers = supervisor.ask_all(HEALTH, _HEALTH_S)
        for row in supervisor.workers():
            name = f"worker {row['worker']}"
            answer = answers[row["worker"]]
            if not row["is_listening"]:
                troubles.append(Trouble(name, "starting", row["last_end"] or "it does not listen yet"))
            elif answer is None:
                troubles.append(Trouble(name, "not_answering", f"process {row['pid']}"))
            else:
                for what, reason, detail, stops in answer:
                    stops_receiving = stops or (exporters_matter and reason == CANNOT_DELIVER)
                    troubles.append(Trouble(f"{name}: {what}", reason, detail, stops_receiving))
        return Health(tuple(troubles))

    def status(self) -> dict[str, Any]:
        """The body of ``/api/v1/status``: the sum over all workers, and under ``workers`` each of them."""
        supervisor = self._supervisor
        answers = {} if supervisor is None else supervisor.ask_all(STATUS, _ASK_S)
        known = {worker: answer for worker, answer in answers.items() if answer is not None}
        return {
            **summed(known.values()),
            "version": version("bmad-otel"),
            "pid": os.getpid(),
            "uptime_s": round(time.time() - self._started_s, 3),
            "config": self._reloads.status(),
            "endpoints": self.endpoints,
            "profiles": self._profiles.status() if self._profiles is not None else {},
            "extensions": self._extensions.counters(),
            "health": self.health().to_dict(),
            "workers": [
                {**row, "status": known.get(row["worker"])} for row in (supervisor.workers() if supervisor else [])
            ],
        }


def is_colored() -> bool:
    """Whether alerts on this process's output may have colors."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _takes_nothing(name: str) -> NoReturn:
    raise AssertionError(f"{name} listens in the workers")
