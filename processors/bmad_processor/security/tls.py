"""TLS of listeners: credentials for gRPC and a context for HTTP that both follow their files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from .config import ServerTlsConfig
from .reload import Watched

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One generation of certificates."""

    context: ssl.SSLContext
    certificate: bytes
    key: bytes
    client_authorities: bytes | None


class _Following(ssl.SSLContext):
    """A context that gives each new connection to the newest one.

    asyncio asks a server's context for one thing, `wrap_bio`. Certificates, authorities and TLS sessions of an older
    generation are so out of reach of new connections, which loading into a context in use does not achieve.
    """

    watched: Watched[_Loaded]

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """See `ssl.SSLContext`."""
        return self.watched.current().context.wrap_bio(*args, **kwargs)


class ServerTls:
    """What a listener needs of a `tls` block. Raises StartError when its files cannot be used."""

    def __init__(self, config: ServerTlsConfig) -> None:
        self._config = config
        files = [file for file in (config.cert_file, config.key_file, config.client_ca_file) if file is not None]
        self._watched = Watched(
            files, self._load, interval_ns=config.reload_interval or None, what=f"TLS certificate {config.cert_file}"
        )
        self._generation = 0

    def context(self) -> ssl.SSLContext:
        """For an asyncio server."""
        following = _Following(ssl.PROTOCOL_TLS_SERVER)
        following.watched = self._watched
        return following

    def credentials(self) -> Any:
        """For a gRPC server."""
        return grpc.dynamic_ssl_server_credentials(  # type: ignore[no-untyped-call]
            _configuration(self._watched.current()),
            self._newer,
            require_client_authentication=self._config.client_ca_file is not None,
        )

    def _newer(self) -> Any:
        """Asked by gRPC before each handshake; None: as before."""
        loaded = self._watched.current()
        if self._watched.generation == self._generation:
            return None
        self._generation = self._watched.generation
        return _configuration(loaded)

    def _load(self) -> _Loaded:
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[config.min_version]
        try:
            context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
        except ssl.SSLError as error:
            raise ValueError(f"{config.cert_file} and {config.key_file} are no certificate and key: {error}") from error
        except OSError as error:
            raise OSError(f"cannot read {config.cert_file} or {config.key_file}: {error.strerror}") from error
        authorities = None
        if config.client_ca_file is not None:
            try:
                context.load_verify_locations(config.client_ca_file)
                authorities = Path(config.client_ca_file).read_bytes()
            except ssl.SSLError as error:
                raise ValueError(f"{config.client_ca_file} has no certificates of authorities: {error}") from error
            except OSError as error:
                raise OSError(f"cannot read {config.client_ca_file}: {error.strerror}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return _Loaded(context, Path(config.cert_file).read_bytes(), Path(config.key_file).read_bytes(), authorities)


def _no_password() -> str:
    # without this OpenSSL asks on the terminal, and a service hangs
    raise ValueError("the key is encrypted; give one that is not")


def _configuration(loaded: _Loaded) -> Any:
    return grpc.ssl_server_certificate_configuration(  # type: ignore[no-untyped-call]
        [(loaded.key, loaded.certificate)], loaded.client_authorities
    )
