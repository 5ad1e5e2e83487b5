"""Modules under which the code of others expects parts of bmad_otel, with the names and habits it expects."""
