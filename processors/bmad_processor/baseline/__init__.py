"""Baseline: what is normal for a series. `score` first, `learn` afterwards, believe it once `is_warm`."""

from .ewma import is_warm, learn, score

__all__ = ["is_warm", "learn", "score"]
