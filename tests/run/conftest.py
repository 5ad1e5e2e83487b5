from __future__ import annotations

from collections.abc import Iterator

import pytest

from .backends import Backend, grpc_backend


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def backend_endpoint(backend: Backend) -> Iterator[str]:
    """Address of `backend` over gRPC."""
    with grpc_backend(backend) as endpoint:
        yield endpoint
