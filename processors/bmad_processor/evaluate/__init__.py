"""Evaluate: measured values against the profile's thresholds, direction and hysteresis included."""

from .thresholds import is_judgeable, judge

__all__ = ["is_judgeable", "judge"]
