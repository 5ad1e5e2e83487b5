"""Addresses as host:port. Standard library only: the command line checks them long before it needs a configuration."""

from __future__ import annotations


def is_endpoint(text: str) -> bool:
    """Whether ``text`` is host:port; a host is needed, port 0 asks for any free one."""
    host, colon, port = text.rpartition(":")
    return bool(colon and host and "/" not in host and len(port) <= 5 and port.isdigit() and int(port) < 65536)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host (without the brackets of IPv6) and port of a checked endpoint."""
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)
