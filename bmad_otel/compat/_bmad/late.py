"""Doing something to a module as soon as it is imported, which may have been before."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from bmad_otel import _guard
from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport

try:
    from wrapt import register_post_import_hook
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "instrument_bmad needs an extra: pip install 'bmad-otel[instrument]'", name="wrapt"
    ) from error


def when_imported(name: str, patches: Patches, report: BmadReport | None, apply: Callable[[ModuleType], None]) -> None:
    """Call ``apply`` with the module ``name``, now or at its first import, unless ``patches`` were undone by then.

    Whatever ``apply`` raises is contained and in the report: the program's import succeeds as without us.
    """
    if report is not None and name not in sys.modules and name not in report.waiting:
        report.waiting.append(name)

    def hook(module: ModuleType) -> None:
        if not patches.is_on:
            return
        try:
            if report is not None:
                report.has_found(name)
            apply(module)
        except Exception as error:  # noqa: BLE001 - the module may be of another version of BMAD than we know
            if report is not None:
                report.failed[name] = f"{type(error).__name__}: {error}"
            _guard.contain(f"instrumenting {name}", error)

    register_post_import_hook(hook, name)
