"""From the extensions of a configuration to authenticators."""

from __future__ import annotations

from collections.abc import Mapping

from bmad_processor.errors import StartError
from bmad_processor.fields import Config

from .authenticator import Authenticator
from .basic import BasicAuth
from .bearer import BearerTokenAuth
from .config import AuthConfig, BasicAuthConfig, BearerTokenAuthConfig


class Authenticators(dict[str, Authenticator]):
    """Authenticators by the id of their extension."""

    def of(self, auth: AuthConfig | None) -> Authenticator | None:
        """The one a component names, None when it names none. Raises StartError for one that is not there."""
        if auth is None:
            return None
        found = self.get(auth.authenticator)
        if found is None:
            raise StartError(f"there is no authenticator {auth.authenticator} among the extensions of the service")
        return found


def build_authenticators(extensions: Mapping[str, Config]) -> Authenticators:
    """Those among ``extensions`` that are one. Raises StartError naming the extension whose files cannot be read."""
    found = Authenticators()
    for name, config in extensions.items():
        try:
            if isinstance(config, BearerTokenAuthConfig):
                found[name] = BearerTokenAuth(config)
            elif isinstance(config, BasicAuthConfig):
                found[name] = BasicAuth(config)
        except StartError as error:
            raise StartError(f"extension {name}: {error}") from error
    return found
