"""Where profiles are asked for and changed: at a running collector, else in the files of a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.errors import ConfigError, Problem, Unanswerable
from bmad_processor.quantities import split_endpoint
from bmad_processor.read_model import all_profiles, near, one_profile
from bmad_processor.service import Home
from bmad_processor.settings import HOST_AGENT, Profiles

from .source import DEFAULT_ENDPOINT, TLS, NoData, Unreachable, ask, service_endpoint

PROFILES_VARIABLE: Final = "BMAD_OTEL_PROFILES"
CHECKOUT: Final = Path("collector-config/profiles")

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ProfilePlace:
    """Asks the collector at ``endpoint``, and reads and edits the files of a directory when there is none.

    What was given explicitly decides: with only ``directory`` its files are used at once. Without an endpoint the
    background service is asked. Without a directory it is that of the environment variable `PROFILES_VARIABLE`, else
    that of the service, else `CHECKOUT` below the current directory.
    """

    endpoint: str | None
    directory: Path | None
    note: Callable[[str], None]
    """Told, in a sentence, when it is the files."""

    def all(self) -> dict[str, Any]:
        """Every profile, as the API gives them. Raises NoData or Failed, ConfigError when the files are wrong."""
        return self._either(lambda endpoint: ask(endpoint, "profiles"), lambda path: all_profiles(_read(path)))

    def one(self, agent: str) -> dict[str, Any]:
        """One agent's profile; besides, Unanswerable with near names for an agent nobody knows."""
        return self._either(lambda endpoint: ask(endpoint, f"profiles/{agent}"), lambda path: _one(path, agent))

    def put(
        self, agent: str, body: Mapping[str, Any], *, replace: bool = False, is_temporary: bool = False
    ) -> dict[str, Any]:
        """Changes a profile; the answer is the new one. Raises ConfigError with everything that is wrong."""
        flags = {"persist": "false" if is_temporary else "true", "replace": "true" if replace else "false"}

        def in_files(path: Path) -> dict[str, Any]:
            if is_temporary:
                raise NoData("only a running collector can keep a profile without a file")
            return _edit(path, agent, body, replace=replace)

        return self._either(lambda endpoint: ask(endpoint, f"profiles/{agent}", flags, body=body), in_files)

    def _either(
        self, ask_collector: Callable[[str], dict[str, Any]], use_files: Callable[[Path], dict[str, Any]]
    ) -> dict[str, Any]:
        if self.endpoint is None and self.directory is not None:
            return use_files(self.directory)
        endpoint = self.endpoint or service_endpoint() or DEFAULT_ENDPOINT
        try:
            return ask_collector(endpoint)
        except Unreachable as error:
            missing = f"no collector answers at {endpoint}"
            directory = self.directory or _usual_directory()
            if self.directory is None and split_endpoint(endpoint.removeprefix(TLS))[0] not in _LOCAL:
                raise NoData(f"{missing} ({error})") from error
            if directory is None:
                raise NoData(f"{missing}, and no directory of profiles is known; name one with --profiles") from error
            self.note(f"{missing}; using the files in {directory}")
            return use_files(directory)


def _usual_directory() -> Path | None:
    named = os.environ.get(PROFILES_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in (Home.of().profiles, CHECKOUT) if path.is_dir()), None)


def _checked(directory: Path) -> Path:
    if not directory.is_dir():
        raise ConfigError([Problem(str(directory), 0, "", "is not a directory", "a directory of profile files")])
    return directory


def _read(directory: Path) -> Profiles:
    # pydantic and YAML are needed for files only; a running collector answers sooner without them
    from bmad_processor.config.profiles import merge_layers, read_layers

    layers, problems = read_layers([_checked(directory)], os.environ, may_be_empty=True)
    profiles, found = merge_layers(layers)
    if problems or found:
        raise ConfigError(problems + found)
    return profiles


def _one(directory: Path, name: str) -> dict[str, Any]:
    profiles, agent = _read(directory), canonical(name)
    known = {*CANONICAL, HOST_AGENT, profiles.default.agent, *profiles.by_agent}
    if agent not in known:
        raise Unanswerable(404, "unknown_agent", f"unknown agent: {name}", near(agent, known))
    return one_profile(profiles, agent)


def _edit(directory: Path, name: str, body: Mapping[str, Any], *, replace: bool) -> dict[str, Any]:
    from bmad_processor.config.profile_files import write_change
    from bmad_processor.config.profile_patch import read_patch

    agent = canonical(name)
    patch, problems = read_patch(agent, body)
    if problems:
        raise ConfigError(problems)
    return write_change([_checked(directory)], os.environ, agent, patch, replace=replace).to_dict(agent)
