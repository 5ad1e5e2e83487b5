"""Who may speak to a listener, and how nobody else listens in: TLS with reload, and authenticators.

A listener asks `ServerTls` for its credentials and an `Authenticator` about each request before it reads the body. An
exporter asks an `Authenticator` for the header it sends.
"""

from .authenticator import Authenticator, Verdict
from .basic import BasicAuth
from .bearer import BearerTokenAuth
from .config import AuthConfig, BasicAuthConfig, BearerTokenAuthConfig, ServerTlsConfig
from .factory import build_authenticator, credentials, is_for_clients, is_for_listeners
from .guard import Guard
from .tls import ServerTls

__all__ = [
    "AuthConfig", "BasicAuthConfig", "BearerTokenAuthConfig", "ServerTlsConfig",
    "Authenticator", "Verdict", "BearerTokenAuth", "BasicAuth",
    "build_authenticator", "credentials", "is_for_clients", "is_for_listeners",
    "Guard", "ServerTls",
]  # fmt: skip
