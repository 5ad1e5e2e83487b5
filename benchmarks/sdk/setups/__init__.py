"""Set-ups of our own environment."""
