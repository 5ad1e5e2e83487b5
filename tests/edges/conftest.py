from __future__ import annotations

from collections.abc import Iterator

import pytest

from bmad_processor.receive import GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver

from .peers import Recorder

LIMIT = 4 * 2**20


@pytest.fixture
def consumer() -> Recorder:
    return Recorder()


@pytest.fixture
def grpc_receiver(consumer: Recorder) -> Iterator[GrpcReceiver]:
    receiver = GrpcReceiver(GrpcConfig(endpoint="127.0.0.1:0", max_recv_msg_size=LIMIT), consumer)
    receiver.start()
    yield receiver
    receiver.stop(2)


@pytest.fixture
def http_receiver(consumer: Recorder) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0", max_request_body_size=LIMIT), consumer)
    receiver.start()
    yield receiver
    receiver.stop(2)
