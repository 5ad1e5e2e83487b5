"""What ``opentelemetry-instrument python app.py`` finds of this package, by its entry point.

Nothing else imports this module: it needs ``pip install 'bmad-otel[instrument]'``. The providers are those that the
command's distribution has set up; none is made here.

``BMAD_OTEL_INSTRUMENT``: classes to put `instrument_agent` on when their modules are imported, as ``module:Class`` or
``module:*`` for all public classes a module defines, several with commas.
``BMAD_OTEL_HOST_METRICS``: ``auto`` (the default), ``true`` or ``false``, as ``host_metrics`` of `configure`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from types import ModuleType
from typing import Any, Final, cast

from opentelemetry import metrics
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from wrapt import register_post_import_hook

from bmad_otel import _guard, _settings, _threads, semconv
from bmad_otel._classes import instrument_agent
from bmad_otel._host import HostMetrics, Mode, observe_host
from bmad_otel._version import __version__

CLASSES_VARIABLE: Final = "BMAD_OTEL_INSTRUMENT"
HOST_METRICS_VARIABLE: Final = "BMAD_OTEL_HOST_METRICS"

_ENTRY: Final = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*:\s*(\*|[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_MODES: Final[dict[str, Mode]] = {"auto": "auto", "true": True, "false": False}
_MISSING: Final = object()


class BmadOtelInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped
    """Process and host metrics, tasks that keep their parent in threads, and whole classes as agents.

    What goes wrong costs its own part and one warning, not the instrumentation of other packages.
    """

    _meter: _RevocableMeter | None = None
    _host: HostMetrics | None = None
    _classes: _Classes | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: there is no library to instrument but the program itself."""
        return ()

    def _instrument(self, **_: Any) -> None:
        if _settings.is_disabled():
            return
        for part, start in (
            ("setting up threads", _threads.install),
            ("setting up host metrics", self._start_host_metrics),
            ("setting up classes", self._start_classes),
        ):
            try:
                start()
            except Exception as error:  # noqa: BLE001 - opentelemetry-instrument gives up everything on one error
                _guard.contain(part, error)

    def _uninstrument(self, **_: Any) -> None:
        _threads.uninstall()
        if self._host is not None:
            self._host.close()
        if self._meter is not None:
            self._meter.revoke()
        if self._classes is not None:
            self._classes.stop()

    def _start_host_metrics(self) -> None:
        mode = _mode()
        if mode is False:
            return
        if self._meter is None:
            self._meter = _RevocableMeter(metrics.get_meter(semconv.SCOPE_NAME, __version__))
        self._host = observe_host(cast("Meter", self._meter), mode)

    def _start_classes(self) -> None:
        if self._classes is None:
            self._classes = _Classes()
        self._classes.start(_settings.variable(CLASSES_VARIABLE) or "")


def _mode() -> Mode:
    value = (_settings.variable(HOST_METRICS_VARIABLE) or "auto").lower()
    if value not in _MODES:
        _guard.warn_once(
            f"{HOST_METRICS_VARIABLE}={value}",
            "bmad_otel: %s: %r is ignored; known are auto, true and false",
            HOST_METRICS_VARIABLE,
            value,
        )
    return _MODES.get(value, "auto")


class _RevocableMeter:
    """Observable instruments that can be given up and taken up again: OpenTelemetry has no way to remove one."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._callbacks: dict[str, Callable[[CallbackOptions], Iterable[Observation]] | None] = {}

    def create_observable_counter(self, *instrument: Any) -> None:
        self._create(self._meter.create_observable_counter, *instrument)

    def create_observable_up_down_counter(self, *instrument: Any) -> None:
        self._create(self._meter.create_observable_up_down_counter, *instrument)

    def create_observable_gauge(self, *instrument: Any) -> None:
        self._create(self._meter.create_observable_gauge, *instrument)

    def revoke(self) -> None:
        """From now on the instruments have nothing to say."""
        self._callbacks = dict.fromkeys(self._callbacks)

    def _create(self, create: Callable[..., Any], name: str, callbacks: list[Any], unit: str, description: str) -> None:
        is_new = name not in self._callbacks
        (self._callbacks[name],) = callbacks

        def callback(options: CallbackOptions) -> Iterable[Observation]:
            current = self._callbacks[name]
            return () if current is None else current(options)

        if is_new:
            create(name, [callback], unit, description)


class _Classes:
    """The classes to instrument, and how they were before."""

    def __init__(self) -> None:
        self._wanted: dict[str, list[str]] = {}
        self._awaited: set[str] = set()
        self._changes: list[tuple[type, str, object, object]] = []

    def start(self, entries: str) -> None:
        """Instrument what ``entries`` name, now if its module is imported already, else when it is."""
        self._wanted = {}
        for module, name in _parsed(entries):
            self._wanted.setdefault(module, []).append(name)
        for module in self._wanted:
            if module in sys.modules:
                self._module_imported(sys.modules[module])
            elif module not in self._awaited:
                self._awaited.add(module)
                register_post_import_hook(self._module_imported, module)

    def stop(self) -> None:
        """Make every class what it was."""
        self._wanted = {}
        for cls, name, before, after in reversed(self._changes):
            if vars(cls).get(name) is not after:
                continue  # somebody has replaced it since
            if before is _MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, before)
        self._changes.clear()

    def _module_imported(self, module: ModuleType) -> None:
        for name in self._wanted.get(module.__name__, ()):
            try:
                for cls in _found(module, name):
                    self._instrument(cls)
            except Exception as error:  # noqa: BLE001 - raised here it would be the program's import that fails
                _guard.contain(f"instrumenting {module.__name__}:{name}", error)

    def _instrument(self, cls: type) -> None:
        before = dict(vars(cls))
        try:
            instrument_agent(cls)
        finally:
            self._changes += [
                (cls, name, before.get(name, _MISSING), after)
                for name, after in vars(cls).items()
                if before.get(name, _MISSING) is not after
            ]


def _parsed(entries: str) -> Iterator[tuple[str, str]]:
    for entry in filter(None, map(str.strip, entries.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            _ignore(entry, "write module:Class or module:*")
        elif match[1] == "__main__":
            _ignore(entry, "the main program is not imported; move the class to a module, or decorate it")
        else:
            yield match[1], match[2]


def _found(module: ModuleType, name: str) -> list[type]:
    if name == "*":
        classes = [
            member
            for key, member in vars(module).items()
            if inspect.isclass(member) and member.__module__ == module.__name__ and not key.startswith("_")
        ]
        if not classes:
            _ignore(f"{module.__name__}:*", "the module defines no public class")
        return list(dict.fromkeys(classes))
    member: Any = module
    for part in name.split("."):
        member = getattr(member, part, None)
    if not inspect.isclass(member):
        _ignore(f"{module.__name__}:{name}", "the module has no such class")
        return []
    return [member]


def _ignore(entry: str, reason: str) -> None:
    _guard.warn_once(f"{CLASSES_VARIABLE} {entry}", "bmad_otel: %s: %r is ignored: %s", CLASSES_VARIABLE, entry, reason)
