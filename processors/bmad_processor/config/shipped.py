"""Where the configuration files that come with the package are: profiles, collector configurations, examples.

A wheel has them inside the package; in a source checkout they are the folder ``collector-config`` that people edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bmad_processor.errors import StartError

_PACKAGE: Final = Path(__file__).parents[1]

_PLACES: Final = (_PACKAGE / "collector_config", _PACKAGE.parents[1] / "collector-config")
"""Inside an installed package; beside it in a checkout."""


def shipped_config() -> Path:
    """The directory with ``profiles/`` and ``bmad-collector.yaml`` in it. Not for writing: an update replaces it.

    Raises StartError when the installation lacks it.
    """
    for place in _PLACES:
        if (place / "profiles" / "default.yaml").is_file():
            return place
    raise StartError("the configuration files of bmad-otel are not there; install it again from a wheel")


def shipped_profiles() -> Path:
    """The directory with one profile file per BMAD agent."""
    return shipped_config() / "profiles"
