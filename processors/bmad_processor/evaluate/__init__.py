"""Evaluate: measured values against the profile's thresholds, direction and hysteresis included."""

from .screen import is_suspect
from .thresholds import is_beyond, is_judgeable, judge

__all__ = ["is_beyond", "is_judgeable", "is_suspect", "judge"]
