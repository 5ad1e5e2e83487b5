"""`configure`, `force_flush` and `shutdown`: the life of the SDK in a process."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from bmad_otel import _guard, _settings
from bmad_otel._content import Capture
from bmad_otel._diagnostics import Diagnostics, look
from bmad_otel._instruments import closed_instruments
from bmad_otel._settings import DEFAULT_SPOOL_BYTES, Settings
from bmad_otel._state import state

if TYPE_CHECKING:
    from bmad_otel._closing import Closer
    from bmad_otel._exporters import Delivery
    from bmad_otel._host import HostMetrics


class _Life:
    """What `configure` made: the settings in force and the signals to end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: Settings | None = None
        self.closers: list[Closer] = []
        self.delivery: Delivery | None = None
        self.host: HostMetrics | None = None
        self.is_over = False

    def before_fork(self) -> None:
        if self.delivery is not None and not self.is_over:
            self.delivery.before_fork()

    def after_fork_in_parent(self) -> None:
        if self.delivery is not None and not self.is_over:
            self.delivery.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self.lock = threading.Lock()
        if self.is_over:
            return
        if self.delivery is not None:
            self.delivery.after_fork_in_child()
        for closer in self.closers:
            closer.signal.after_fork_in_child()
            closer.start()
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # multiprocessing forgets what was to be done at the end, and then does this
            util.register_after_fork(self, lambda _: _end_with_multiprocessing())


_life = _Life()


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: Literal["grpc", "http/protobuf"] | None = None,
    headers: Mapping[str, str] | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    host_metrics: bool | Literal["auto"] = "auto",
    metric_export_interval_s: float | None = None,
    shutdown_timeout_s: float = 2.0,
    propagate_threads: bool = True,
    capture: bool | Capture | None = None,
    spool_directory: str | os.PathLike[str] | None = None,
    spool_max_bytes: int = DEFAULT_SPOOL_BYTES,
) -> None:
    """Send spans and metrics by OTLP, by default to a collector on this machine.

    Call it once at start-up. Providers the program has already set are used as they are, and get a further exporter
    only if ``endpoint`` is given; missing ones are created and set globally. What no argument says is left to the
    standard OTEL_* variables, and then to defaults that show data within seconds. Does nothing when OTEL_SDK_DISABLED
    is true. A second call with the same arguments is silent, with others it warns and changes nothing.

    ``service_name``: ``service.name`` of the program; else OTEL_SERVICE_NAME.
    ``endpoint``: base URL of the OTLP receiver; else the OTEL_EXPORTER_OTLP_* variables, else port 4317 (gRPC) or 4318
    (HTTP) of localhost.
    ``protocol``: ``"grpc"`` or ``"http/protobuf"``; else the variables, else HTTP if the endpoint's port is 4318, else
    gRPC.
    ``headers``: sent with every request; replaces OTEL_EXPORTER_OTLP_HEADERS.
    ``resource_attributes``: added to the resource, over OTEL_RESOURCE_ATTRIBUTES.
    ``host_metrics``: also report process and host metrics; ``"auto"`` those of the host from one process only.
    ``metric_export_interval_s``: seconds between metric exports; else OTEL_METRIC_EXPORT_INTERVAL, else 5.
    ``shutdown_timeout_s``: the longest `shutdown`, and so the end of the program, waits for delivery, in seconds.

    ``propagate_threads``: the current task goes along into threads and pools of the standard library.
    ``capture``: record arguments and results of every tracked call, unless its decorator says otherwise; else
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT.
    ``spool_directory``: where to keep what could not be delivered until the receiver is back, also for the next run;
    else BMAD_OTEL_SPOOL_DIRECTORY, else nowhere. Made if it is missing.
    ``spool_max_bytes``: how much of it at most; the oldest goes first.

    Raises TypeError or ValueError, naming the argument, before anything is changed.
    """
    settings = _settings.checked(
        service_name=service_name,
        endpoint=endpoint,
        protocol=protocol,
        headers=headers,
        resource_attributes=resource_attributes,
        host_metrics=host_metrics,
        metric_export_interval_s=metric_export_interval_s,
        shutdown_timeout_s=shutdown_timeout_s,
        propagate_threads=propagate_threads,
        capture=capture,
        spool_directory=spool_directory,
        spool_max_bytes=spool_max_bytes,
    )
    with _life.lock:
        if _life.is_over:
            _guard.warn_once(
                "configure after shutdown",
                "bmad_otel: configure() after shutdown() has no effect; OpenTelemetry's providers are set once",
            )
            return
        if _life.settings is not None:
            if _life.settings != settings:
                _guard.warn_once(
                    "configure again",
                    "bmad_otel: configure() was already called with other arguments; this call changes nothing",
                )
            return
        if not _settings.is_disabled():
            _set_up(settings)
        _life.settings = settings


def settings_in_force() -> Settings | None:
    """The settings of `configure`; None if it was not called."""
    return _life.settings


def force_flush(timeout_s: float = 5.0) -> bool:
    """Deliver now what is waiting, all signals at once; True if all exporters were done within ``timeout_s`` seconds.

    An exporter is done when the receiver took the data or refused it for good, which is then in the exporter's log.
    Flushes what `configure` created; providers of the program itself are for the program to flush. False after
    `shutdown`.
    """
    if _life.is_over:
        return False
    from bmad_otel._closing import flush_all

    return flush_all(_life.closers, timeout_s)


def diagnostics() -> Diagnostics:
    """What became of the telemetry of this process so far: exported, waiting, on disk, dropped and why."""
    spool = None if _life.delivery is None else _life.delivery.spool
    return look([closer.signal for closer in _life.closers], 0 if spool is None else spool.size_bytes())


def shutdown(timeout_s: float | None = None) -> None:
    """Deliver what is waiting and end what `configure` created; tracked functions run untracked from now on.

    Returns after at most ``timeout_s`` seconds, by default ``shutdown_timeout_s`` of `configure`; what could not be
    delivered by then is given up with one warning. Runs by itself when the program ends; further calls do nothing.
    """
    with _life.lock:
        if _life.settings is None or _life.is_over:
            return
        _life.is_over = True
        closers = _life.closers
        if timeout_s is None:
            timeout_s = _life.settings.shutdown_timeout_s
        host, _life.host = _life.host, None
    if host is not None:
        host.close()
    if closers:
        from bmad_otel import _threads
        from bmad_otel._closing import close_all

        _threads.uninstall()
        close_all(closers, timeout_s)
    state.instruments = closed_instruments()


def _set_up(settings: Settings) -> None:
    # Imported here: the OpenTelemetry SDK and psutil are for programs that configure, not for every import.
    from opentelemetry import metrics

    from bmad_otel import _providers, _threads, semconv
    from bmad_otel._closing import Closer
    from bmad_otel._exporters import Delivery
    from bmad_otel._host import observe_host
    from bmad_otel._version import __version__

    delivery = _life.delivery = Delivery(settings)
    _life.closers = [Closer(signal) for signal in _providers.set_up(settings, delivery)]
    state.open().providers_changed()
    if settings.capture is not None:
        state.capture = Capture() if settings.capture is True else settings.capture or None
    if settings.propagate_threads:
        try:
            _threads.install()
        except Exception as error:  # noqa: BLE001 - classes that others have replaced may be anything
            _guard.contain("following tasks into threads", error)
    if settings.host_metrics:
        try:
            _life.host = observe_host(metrics.get_meter(semconv.SCOPE_NAME, __version__), settings.host_metrics)
        except Exception as error:  # noqa: BLE001 - a machine psutil cannot read costs these metrics, not the program
            _guard.contain("setting up host metrics", error)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_life.before_fork,
            after_in_parent=_life.after_fork_in_parent,
            after_in_child=_life.after_fork_in_child,
        )
    atexit.register(shutdown)
    _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Have `shutdown` run at the end of a child of multiprocessing: most of them end without `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, shutdown, exitpriority=0)
