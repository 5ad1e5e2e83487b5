"""Who sent it: namespace, instance and host of one resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from bmad_otel import semconv
from bmad_processor.agent_names import clean
from bmad_processor.errors import Malformed

from . import wire
from .attributes import CACHE_SIZE, Attributes
from .recent import Recent

MAX_RESOURCE_LENGTH: Final = 4096
"""A larger resource is read anew each time: `CACHE_SIZE` of these are 32 MiB at most."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What a resource says about the sender."""

    namespace: str
    service: str
    instance: str
    """`service.instance.id`, else host and pid, else the host or service: whatever tells instances apart best."""
    host: str


class Senders:
    """Resource bytes to `Sender`, remembered."""

    def __init__(self) -> None:
        self._attributes = Attributes(
            (semconv.SERVICE_NAMESPACE, semconv.SERVICE_NAME, semconv.SERVICE_INSTANCE_ID, semconv.HOST_NAME,
             semconv.HOST_ID, semconv.PROCESS_PID)
        )  # fmt: skip
        self.tell_index = self._attributes.tell_index
        self._seen: Recent[bytes, Sender] = Recent(CACHE_SIZE)

    def of(self, resource: bytes) -> Sender:
        """Raises Malformed when the bytes are not a resource."""
        try:
            return self._seen.recall(resource)
        except KeyError:
            try:
                attributes = wire.Resource.FromString(resource).attributes
            except DecodeError as error:
                raise Malformed("resource is not a valid protobuf message") from error
            sender = self._understand(self._attributes.read(attributes))
            if len(resource) <= MAX_RESOURCE_LENGTH:
                self._seen.remember(resource, sender)
            return sender

    @staticmethod
    def _understand(found: dict[str, str]) -> Sender:
        host = clean(found.get(semconv.HOST_NAME) or found.get(semconv.HOST_ID) or "")
        service = clean(found.get(semconv.SERVICE_NAME, ""))
        pid = found.get(semconv.PROCESS_PID)
        instance = found.get(semconv.SERVICE_INSTANCE_ID) or (f"{host}:{pid}" if pid else host or service or "unknown")
        # a partition key is written kind/namespace/name, so a namespace has no slash
        return Sender(clean(found.get(semconv.SERVICE_NAMESPACE, "")).replace("/", "_"), service, clean(instance), host)
