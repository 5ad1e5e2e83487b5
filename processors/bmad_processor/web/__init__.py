"""The JSON API of a running collector: ``/api/v1/...`` and ``/healthz``."""

from __future__ import annotations

from .api import build_api

__all__ = ["build_api"]
