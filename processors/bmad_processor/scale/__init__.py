"""Scale: how many instances an agent needs, with the reason. Advice only."""

from .hpa import advise, propose, targets_of

__all__ = ["advise", "propose", "targets_of"]
