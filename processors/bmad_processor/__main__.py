"""``python -m bmad_processor`` is ``bmad-otel``."""

from __future__ import annotations

from bmad_processor.cli import main

if __name__ == "__main__":
    main()
