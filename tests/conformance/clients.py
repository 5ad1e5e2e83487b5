"""Plain clients: a gRPC channel and the standard library's HTTP, nothing that repairs or retries."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2  # noqa: F401 - json_format looks the details of a Status up by name
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from .messages import JSON, METHODS, PROTOBUF, RESPONSES

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class GrpcReply:
    """What a call ended with."""

    code: grpc.StatusCode
    body: bytes = b""
    message: str = ""
    details: tuple[Any, ...] = ()
    """Of the google.rpc.Status, packed."""

    def detail(self, kind: type[Message]) -> Any | None:
        """The detail of that kind, None when there is none."""
        for packed in self.details:
            message = kind()
            if packed.Unpack(message):
                return message
        return None


class GrpcClient:
    """One channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, method: str, body: bytes, *, timeout_s: float = TIMEOUT_S, **options: Any) -> GrpcReply:
        try:
            return GrpcReply(grpc.StatusCode.OK, self.channel.unary_unary(method)(body, timeout=timeout_s, **options))
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            details = tuple(status.details) if status is not None else ()
            return GrpcReply(error.code(), message=error.details() or "", details=details)

    def export(self, signal: str, body: bytes, **options: Any) -> GrpcReply:
        return self.call(METHODS[signal], body, **options)


@contextmanager
def grpc_client(
    address: str, *, credentials: grpc.ChannelCredentials | None = None, **channel_options: int
) -> Iterator[GrpcClient]:
    """Options as ``grpc__keepalive_time_ms=100``, two underscores for the dot."""
    options = [(key.replace("__", "."), value) for key, value in channel_options.items()]
    # a channel of its own: subchannels are shared between channels of equal options otherwise
    options += [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    if credentials is None:
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, credentials, options)
    with channel:
        yield GrpcClient(channel)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def response(self, signal: str) -> Any:
        """The Export*ServiceResponse of a success."""
        assert self.status == 200, (self.status, self.body[:300])
        if self.content_type == JSON:
            return ParseDict(json.loads(self.body), RESPONSES[signal]())
        assert self.content_type == PROTOBUF, self.headers
        return RESPONSES[signal].FromString(self.body)

    def refusal(self, content_type: str | None = None) -> Status:
        """The google.rpc.Status of a refusal, in ``content_type`` when that is given."""
        assert 400 <= self.status < 600, self.status
        assert self.content_type in (PROTOBUF, JSON), f"{self.status} answered with {self.content_type or 'no type'}"
        assert content_type in (None, self.content_type)
        status = (
            ParseDict(json.loads(self.body), Status()) if self.content_type == JSON else Status.FromString(self.body)
        )
        assert status.message, f"{self.status} without a message"
        return status


class HttpClient:
    """A connection per request, unless asked to keep one."""

    def __init__(self, address: str, *, context: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._context = context

    def connect(self) -> http.client.HTTPConnection:
        host, _, port = self.address.rpartition(":")
        if self._context is not None:
            return http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT_S, context=self._context)
        return http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HttpReply:
        """Headers as ``content_type="..."``."""
        connection = self.connect()
        try:
            return exchange(connection, method, path, body, **headers)
        finally:
            connection.close()

    def post(self, signal: str, body: Any, content_type: str = PROTOBUF, **headers: str) -> HttpReply:
        return self.send("POST", f"/v1/{signal}", body, content_type=content_type, **headers)

    def pipeline(self, signal: str, bodies: Sequence[bytes]) -> list[int]:
        """Statuses of many protobuf requests on one connection, sent without waiting for answers in between."""
        head = b"POST /v1/%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        data = b"".join(head % (signal.encode(), PROTOBUF.encode(), len(body)) + body for body in bodies)
        host, _, port = self.address.rpartition(":")
        statuses = []
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
            sender.start()
            stream = connection.makefile("rb")
            for _ in bodies:
                status = stream.readline()
                headers = http.client.parse_headers(stream)
                stream.read(int(headers["content-length"]))
                statuses.append(int(status.split()[1]))
            sender.join(TIMEOUT_S)
        return statuses

    def raw(self, data: bytes, *, timeout_s: float = TIMEOUT_S) -> bytes:
        """Sends bytes, half-closes, returns everything that comes."""
        host, _, port = self.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> HttpReply:
    """One request on an open connection."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    # refused before all of it was sent: the answer may be there all the same
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request(method, path, body, names)
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return HttpReply(response.status, found, response.read())
