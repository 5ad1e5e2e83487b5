"""A receiver that somebody else runs: its answers are checked; what it delivers and how it starts cannot be."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.backend import Backend
from tests.conformance.rows import NotApplicable

from .base import Child, Server, Wish


class AddressTarget:
    """Listens at two given addresses."""

    def __init__(self, grpc: str, http: str) -> None:
        self.name = "address"
        self._grpc, self._http = grpc, http

    def start(self, folder: Path, backend: Backend, wish: Wish) -> Server:
        if wish != Wish():
            raise NotApplicable("it was started by somebody else")
        return Server(self._grpc, self._http, None)

    def launch(self, folder: Path, wish: Wish) -> Child:
        raise NotApplicable("it was started by somebody else")
