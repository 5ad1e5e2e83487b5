"""A check's report (``GET /api/v1/check``) for other programs: JUnit XML for a CI server, Markdown for its summary."""

from __future__ import annotations

from .junit import junit_xml
from .markdown import markdown_table

__all__ = ["junit_xml", "markdown_table"]
