"""Configuration of TLS and authenticators, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, DurationNs, Secret, is_header_value

_SECOND: Final = 1_000_000_000

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  RFC 9110's name for such a word
"""What a scheme or a header's name is made of."""


# 1.2 without quotes is a number in YAML
Version = Annotated[Literal["1.2", "1.3"], BeforeValidator(lambda value: str(value) if type(value) is float else value)]


class ServerTlsConfig(Config):
    """TLS of a listener. With a `client_ca_file` clients must show a certificate (mTLS)."""

    cert_file: str
    """PEM file of the certificate, its chain behind it."""
    key_file: str
    """PEM file of the private key, not encrypted."""
    client_ca_file: str | None = None
    """PEM file of the authorities of clients. A client without a certificate of theirs is refused in the handshake."""
    min_version: Version = "1.2"
    """Lowest version of TLS. gRPC takes 1.2 only: its library cannot be told otherwise, and itself uses 1.3 with every
    client that can."""
    reload_interval: Annotated[DurationNs, Field(ge=0)] = 0
    """How often changed files are looked for, at most, when a client connects; 0: never. A file that cannot be used is
    logged, and the certificate in use stays."""


class AuthConfig(Config):
    """Which authenticator is asked."""

    authenticator: str
    """Id of an extension of type `bearertokenauth` or `basicauth` that the service starts."""


class BearerTokenAuthConfig(Config):
    """Bearer tokens: `Authorization: Bearer <token>`. Listeners take any of them, exporters send the first."""

    scheme: Annotated[str, Field(pattern=f"^{_TOKEN}$")] = "Bearer"
    """The word before the token. Its case does not matter when a token is checked."""
    header: Annotated[str, Field(pattern=f"^{_TOKEN}$")] = "Authorization"
    """The header that carries it."""
    token: Secret | None = None
    """The token."""
    tokens: tuple[Secret, ...] = ()
    """Several tokens, for instance while one replaces the other."""
    filename: str | None = None
    """File with one token per line instead. It is read again when it changes."""

    @model_validator(mode="after")
    def _one_source(self) -> BearerTokenAuthConfig:
        given = [name for name in ("token", "tokens", "filename") if getattr(self, name)]
        if len(given) != 1:
            said = "no token is given" if not given else f"{' and '.join(given)} are both given"
            raise PydanticCustomError("value", said, {"expected": "one of token, tokens, filename"})
        if not all(is_header_value(token.reveal()) for token in (self.token, *self.tokens) if token is not None):
            raise PydanticCustomError("value", "a token has characters that no header can carry", {"expected": "ASCII"})
        return self


class HtpasswdConfig(Config):
    """Users and passwords of a listener, as `htpasswd -B` writes them: `user:hash`, one per line.

    bcrypt (`$2y$`), SHA-1 (`{SHA}`) and plain text are understood; MD5 and crypt hashes are refused at start.
    """

    file: str | None = None
    """File of lines. It is read again when it changes."""
    inline: Secret | None = None
    """Lines; they count before those of the file."""

    @model_validator(mode="after")
    def _something(self) -> HtpasswdConfig:
        if self.file is None and self.inline is None:
            raise PydanticCustomError("value", "no user is given", {"expected": "file, inline or both"})
        return self


class ClientAuthConfig(Config):
    """What an exporter says."""

    username: Annotated[str, Field(pattern="^[^:]+$")]
    """The user."""
    password: Secret
    """The password."""


class BasicAuthConfig(Config):
    """User and password: `Authorization: Basic ...`. Without TLS everybody on the way can read them."""

    htpasswd: HtpasswdConfig | None = None
    """Who is let in; needed by listeners."""
    client_auth: ClientAuthConfig | None = None
    """What is sent; needed by exporters."""

    @model_validator(mode="after")
    def _one_side(self) -> BasicAuthConfig:
        if self.htpasswd is None and self.client_auth is None:
            raise PydanticCustomError("value", "neither side is configured", {"expected": "htpasswd or client_auth"})
        return self
