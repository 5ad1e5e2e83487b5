"""The profiles of a running collector: what its files say, and above it what programs registered.

Files are looked at once per monitoring interval (their times, not their content) and read again when one changed: all
of them or none. A person's mistake is logged and shown in the status, and the profiles before it stay in force.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bmad_processor.agent_names import canonical
from bmad_processor.config.profile_files import (
    MAX_PROFILES,
    Change,
    dropped_levels,
    profile_of,
    write_change,
)
from bmad_processor.config.profile_patch import Inherit, ProfilePatch, Wish, layer_of, read_patch
from bmad_processor.config.profiles import Layer, Layers, list_files, merge_layers, read_layers
from bmad_processor.config.yaml_edit import KeyPath
from bmad_processor.errors import ConfigError, Problem, ProfileError
from bmad_processor.settings import Profiles

_LOG: Final = logging.getLogger("bmad_otel.collector")

_MAX_SHOWN: Final = 20
"""Problems in a log line and names in the status; the first is what a person mends first."""


class ProfileKeeper:
    """Owns the profiles. ``apply`` is told about new ones; ``clock`` gives nanoseconds since the epoch.

    All methods may be called from any thread.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        environ: Mapping[str, str],
        apply: Callable[[Profiles], None],
        *,
        interval_s: float,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paths = tuple(paths)
        self._environ = environ
        self._apply = apply
        self._interval_s = interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._layers = Layers()
        self._profiles = Profiles()
        self._registered: dict[str, dict[KeyPath, Wish]] = {}
        self._problems: list[Problem] = []
        self._problems_since_ns: int | None = None
        self._read_ns = 0
        self._n_reloads = 0
        self._seen: object = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bmad-profiles", daemon=True)

    def start(self, profiles: Profiles) -> None:
        """Begins with ``profiles``, which the configuration was just read with, and looks after the files."""
        self._profiles = profiles
        self._read_ns = self._clock()
        self._seen = self._look()
        layers, problems = read_layers(self._paths, self._environ)
        if problems:  # edited in this very moment: the watching thread will say so
            self._seen = None
        else:
            self._layers = layers
        if self._paths:
            self._thread.start()

    def look_at(self, paths: Sequence[Path], *, interval_s: float) -> None:
        """Reads these files from now on, at once for the first time; what programs registered stays."""
        with self._lock:
            self._paths = tuple(paths)
            self._interval_s = interval_s
            self._seen = None
            is_first = bool(paths) and self._thread.ident is None and not self._is_stopping.is_set()
        self.refresh()
        if is_first:
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread. Safe to call twice, and when it was never started."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def put(self, name: str, body: Mapping[str, Any], *, persist: bool, replace: bool = False) -> dict[str, Any]:
        """Changes an agent's profile as ``body`` says (see `config.profile_patch`) and gives it as it is then.

        ``persist`` edits its file, or makes one; otherwise the change lies above the files until the collector ends.
        ``replace`` forgets what that file or registration has said before. Raises ConfigError with every problem, and
        ProfileError when there is nowhere to write; nothing has changed then.
        """
        agent = canonical(name)
        patch, problems = read_patch(agent, body)
        if problems:
            raise ConfigError(problems)
        with self._lock:
            change = (self._persist if persist else self._register)(agent, patch, replace)
            self._layers = change.layers
            self._install(change.profiles)
        if change.file is not None:
            _LOG.info("profile of %s changed in %s", agent, change.file)
        return change.to_dict(agent)

    def _persist(self, agent: str, patch: ProfilePatch, replace: bool) -> Change:
        # what is written now is newer than what was registered for the same keys, and must not be hidden by it
        old = {} if replace else self._registered.get(agent, {})
        registered = self._registered | {agent: {path: wish for path, wish in old.items() if path not in patch.wishes}}
        layers, _ = _layers_of(registered)
        change = write_change(self._paths, self._environ, agent, patch, replace=replace, registered=layers)
        self._registered = {name: wishes for name, wishes in registered.items() if wishes}
        self._problems, self._problems_since_ns = [], None
        self._seen = self._look()
        return change

    def _register(self, agent: str, patch: ProfilePatch, replace: bool) -> Change:
        if agent not in self._registered and len(self._registered) >= MAX_PROFILES:
            raise ProfileError(f"{len(self._registered)} agents have registered a profile already")
        wishes = {} if replace else dict(self._registered.get(agent, {}))
        for path, wish in patch.wishes.items():
            wishes.pop(path, None)
            if not isinstance(wish, Inherit):
                wishes[path] = wish
        registered = self._registered | {agent: wishes}
        layers, problems = _layers_of(registered)
        profiles, found = merge_layers(self._layers, layers)
        if problems or found:
            raise ConfigError(problems + found)
        self._registered = {name: kept for name, kept in registered.items() if kept}
        before, after = profile_of(self._profiles, agent), profile_of(profiles, agent)
        dropped = dropped_levels(before, after, patch, but_of="registered")
        return Change(None, self._layers, profiles, dropped)

    def refresh(self) -> None:
        """Reads the files again when one of them changed."""
        with self._lock:
            seen = self._look()
            if seen == self._seen:
                return
            self._seen = seen  # taken before the files are read: what changes meanwhile is seen the next time
            layers, problems = read_layers(self._paths, self._environ)
            registered, _ = _layers_of(self._registered)
            profiles, found = merge_layers(layers, registered)
            problems += found
            if problems:
                self._problems = problems
                self._problems_since_ns = self._problems_since_ns or self._clock()
                shown = "; ".join(str(problem) for problem in problems[:_MAX_SHOWN])
                _LOG.error("the profiles are as they were, for the changed files are wrong: %s", shown)
                return
            self._problems, self._problems_since_ns = [], None
            self._n_reloads += 1
            agents = profiles.by_agent.keys() | self._profiles.by_agent.keys()
            n_changed = sum(profile_of(profiles, a) != profile_of(self._profiles, a) for a in agents)
            self._layers = layers
            self._install(profiles)
        _LOG.info("profile files changed and were read again: %d of %d agents differ", n_changed, len(agents))

    def status(self) -> dict[str, Any]:
        """What is in force since when, and what is wrong with the files since."""
        with self._lock:
            return {
                "files": len(self._layers.files),
                "agents": len(self._profiles.by_agent),
                "registered": sorted(self._registered)[:_MAX_SHOWN],
                "in_force_since": self._read_ns / 1e9,
                "reloads": self._n_reloads,
                "problems": [asdict(problem) for problem in self._problems[:_MAX_SHOWN]],
                "problems_since": None if self._problems_since_ns is None else self._problems_since_ns / 1e9,
            }

    def _install(self, profiles: Profiles) -> None:
        """Called with the lock held."""
        self._profiles = profiles
        self._read_ns = self._clock()
        self._apply(profiles)

    def _look(self) -> object:
        """Something that differs when a file was written, came or went."""
        problems: list[Problem] = []
        seen: list[object] = []
        for path in list_files(self._paths, problems):
            try:
                stat = path.stat()
                # the time of change too: an editor may keep the time of modification
                seen.append((path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
            except OSError as error:
                seen.append((path, error.errno))
        return (*seen, *problems)

    def _watch(self) -> None:
        while not self._is_stopping.wait(self._interval_s):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - a thread has nobody above it, and the next look may succeed
                _LOG.exception("the profile files could not be looked at")


def _layers_of(registered: Mapping[str, Mapping[KeyPath, Wish]]) -> tuple[dict[str, Layer], list[Problem]]:
    layers: dict[str, Layer] = {}
    problems: list[Problem] = []
    for agent, wishes in registered.items():
        layer, found = layer_of(agent, wishes)
        problems += found
        if layer is not None:
            layers[agent] = layer
    return layers, problems
