"""Programs that show bmad-otel at work; each one is run by a test in ``tests/examples``."""
