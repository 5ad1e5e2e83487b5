"""How long an HTTP connection may take and how many there may be, in the units of an event loop's clock."""

from __future__ import annotations

from dataclasses import dataclass

from .config import HttpConfig

_NS = 1e9


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The defaults are those of `HttpConfig`; servers that are no receiver (the API) have them as well."""

    read_header_s: float = 60.0
    read_s: float = 60.0
    write_s: float = 30.0
    idle_s: float = 75.0
    max_connections: int = 1000
    is_kept_alive: bool = True

    @classmethod
    def of(cls, config: HttpConfig) -> HttpLimits:
        """Those that ``config`` asks for."""
        return cls(
            config.read_header_timeout / _NS,
            config.read_timeout / _NS,
            config.write_timeout / _NS,
            config.idle_timeout / _NS,
            config.max_connections,
            config.keep_alives_enabled,
        )

    @property
    def look_every_s(self) -> float:
        """How often connections are looked at: twice a second, oftener when a time is shorter than two seconds."""
        return min(0.5, min(self.read_header_s, self.read_s, self.write_s, self.idle_s) / 4)
