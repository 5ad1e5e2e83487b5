from __future__ import annotations

from tests.run.conftest import backend, backend_endpoint

__all__ = ["backend", "backend_endpoint"]
