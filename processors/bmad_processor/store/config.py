"""Configuration of the store, as a user writes it."""

from __future__ import annotations

from bmad_processor.fields import Config


class SqliteConfig(Config):
    """Where the collector keeps what it learned."""

    path: str = "./bmad-otel.db"
    """SQLite database file; created when missing, its directory must exist. One collector per file."""
