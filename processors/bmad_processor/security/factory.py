"""From the configuration of an authenticator to the authenticator."""

from __future__ import annotations

from bmad_processor.fields import Config

from .authenticator import Authenticator
from .basic import BasicAuth
from .bearer import BearerTokenAuth
from .config import BasicAuthConfig, BearerTokenAuthConfig


def is_for_listeners(config: Config) -> bool:
    """Whether requests can be checked against it."""
    return isinstance(config, BearerTokenAuthConfig) or (
        isinstance(config, BasicAuthConfig) and config.htpasswd is not None
    )


def is_for_clients(config: Config) -> bool:
    """Whether it has something to send."""
    return isinstance(config, BearerTokenAuthConfig) or (
        isinstance(config, BasicAuthConfig) and config.client_auth is not None
    )


def credentials(authenticator: Authenticator | None) -> dict[str, str]:
    """The header that a client of ours sends; asked for each request, since a file of tokens may change."""
    return {} if authenticator is None else {authenticator.header: authenticator.credentials()}


def build_authenticator(config: Config | None) -> Authenticator | None:
    """The authenticator of an extension's block; None for none.

    Raises StartError when its files cannot be read.
    """
    match config:
        case None:
            return None
        case BearerTokenAuthConfig():
            return BearerTokenAuth(config)
        case BasicAuthConfig():
            return BasicAuth(config)
        case _:
            raise TypeError(f"{type(config).__name__} is no authenticator's")
