"""The `debug` exporter: requests in the collector's log."""

from __future__ import annotations

import logging
from typing import Final

from google.protobuf.message import DecodeError

from bmad_processor.log_lines import UNSAMPLED

from .config import DebugConfig
from .otlp_json import decode
from .request import ExportRequest

_LOG: Final = logging.getLogger(UNSAMPLED)

_MAX_TEXT: Final = 64 * 1024
"""Characters of one request in the log."""


class DebugSender:
    """One line per request; with `detailed` its content as protobuf text."""

    can_join = False  # a line for each request

    def __init__(self, config: DebugConfig) -> None:
        self._is_detailed = config.verbosity == "detailed"

    def open(self) -> None:
        """Nothing to open."""

    def send(self, request: ExportRequest) -> int:
        """Log the request."""
        _LOG.info("debug: %s, %d items, %d bytes", request.signal, request.items, len(request.body))
        if self._is_detailed:
            try:
                text = str(decode(request.signal, request.body))
            except DecodeError as error:
                text = f"cannot be decoded: {error}"
            _LOG.info("%s%s", text[:_MAX_TEXT], "..." if len(text) > _MAX_TEXT else "")
        return 0

    def close(self) -> None:
        """Nothing to close."""
