"""TLS of exporters: configuration, and what becomes of it in each library."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.errors import StartError
from bmad_processor.fields import Config, DurationNs

_VERSIONS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}

# 1.2 without quotes is a number in YAML
Version = Annotated[Literal["1.0", "1.1", "1.2", "1.3"], BeforeValidator(lambda v: str(v) if type(v) is float else v)]


class ClientTlsConfig(Config):
    """TLS of a connection to a backend."""

    insecure: StrictBool = False
    """gRPC: no TLS at all. HTTP: of no effect, the scheme of the endpoint says it."""
    insecure_skip_verify: StrictBool = False
    """HTTP: take any certificate. Not supported over gRPC, where true is refused."""
    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    cert_file: str | None = None
    """PEM file of the certificate to show the backend; needs `key_file`."""
    key_file: str | None = None
    """PEM file of its private key."""
    server_name_override: str | None = None
    """The name the backend's certificate must have, instead of the one in the endpoint."""
    min_version: Version = "1.2"
    """Oldest TLS version to accept. gRPC takes 1.2 or newer whatever is said, and refuses 1.3 as the oldest."""
    reload_interval: DurationNs = 0
    """How often the files are looked at again; 0: never."""

    @model_validator(mode="after")
    def _both(self) -> ClientTlsConfig:
        if (self.cert_file is None) != (self.key_file is None):
            missing = "key_file" if self.key_file is None else "cert_file"
            raise PydanticCustomError("value", "a certificate needs its key", {"expected": missing})
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return tuple(Path(name) for name in (self.ca_file, self.cert_file, self.key_file) if name is not None)


class GrpcTlsConfig(ClientTlsConfig):
    """TLS of a gRPC connection."""

    @model_validator(mode="after")
    def _supported(self) -> GrpcTlsConfig:
        if self.insecure_skip_verify:
            expected = "ca_file with the backend's own certificate, and server_name_override if its name is another"
            raise PydanticCustomError(
                "value", "insecure_skip_verify is not supported over gRPC", {"expected": expected}
            )
        if self.min_version == "1.3":
            raise PydanticCustomError("value", "min_version 1.3 is not supported over gRPC", {"expected": "1.2"})
        return self


class HttpTlsConfig(ClientTlsConfig):
    """TLS of an HTTP connection; `https://` in the endpoint turns it on."""


class FileWatch:
    """Whether the files of a configuration have changed since it was asked last."""

    def __init__(self, config: ClientTlsConfig, now_s: float) -> None:
        self._files = config.files
        self._interval_s = config.reload_interval / 1e9
        self._asked_s = now_s
        self._seen = self._look()

    def has_changed(self, now_s: float) -> bool:
        """Looks at most once an interval."""
        if not self._interval_s or now_s - self._asked_s < self._interval_s:
            return False
        self._asked_s = now_s
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        return True

    def _look(self) -> list[tuple[int, int, int] | None]:
        seen: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                status = file.stat()
                seen.append((status.st_ino, status.st_mtime_ns, status.st_size))
            except OSError:
                seen.append(None)
        return seen


def ssl_context(config: ClientTlsConfig) -> ssl.SSLContext:
    """For Python's own TLS. Raises StartError for files that cannot be read or are not what they should be."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        context.minimum_version = _VERSIONS[config.min_version]
        if config.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
    except OSError as error:  # ssl.SSLError is one
        names = ", ".join(str(file) for file in config.files)
        raise StartError(f"cannot read the TLS files of an exporter ({names}): {error}") from error
    return context


def _no_password() -> str:
    # without one given, OpenSSL would ask on the terminal
    return ""


def pem_files(config: ClientTlsConfig) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Authorities, key and certificate as gRPC takes them. Raises StartError for a file that cannot be read."""
    return (
        _read("ca_file", config.ca_file),
        _read("key_file", config.key_file),
        _read("cert_file", config.cert_file),
    )


def _read(what: str, name: str | None) -> bytes | None:
    if name is None:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {what} {name}: {error.strerror}") from error
