"""The version of the distribution; a test keeps it equal to the one in pyproject.toml."""

__version__ = "0.1.0"
