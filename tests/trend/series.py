"""Series as telemetry makes them, from a fixed seed."""

from __future__ import annotations

import math
import random

from bmad_processor.trend import Point

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def wandering(rng: random.Random, n: int, phi: float) -> list[float]:
    """A stationary autoregressive series of variance 1: each value keeps ``phi`` of the one before."""
    value, found = rng.gauss(0, 1), []
    for _ in range(n):
        found.append(value)
        value = phi * value + math.sqrt(1 - phi * phi) * rng.gauss(0, 1)
    return found


def of_windows(rng: random.Random, minutes: int, correlated_s: float) -> list[Point]:
    """What a history has: every 5 s the mean of the last minute of a series with a correlation time of its own."""
    phi = math.exp(-5 / correlated_s) if correlated_s else 0.0
    values = wandering(rng, 12 * (minutes + 1), phi)
    return [(i * 5 * SECOND, sum(values[i - 12 : i]) / 12) for i in range(12, len(values) + 1)]


def every_minute(values: list[float]) -> list[Point]:
    return [(i * MINUTE, value) for i, value in enumerate(values)]
