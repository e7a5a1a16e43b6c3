"""Tokens that a hub is given at its start, one for each role: how somebody gets in before the table has a token.

An orchestrator keeps them as secrets. They are in no table: another value, at the next start, replaces the one before.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.access.credentials import digest_of
from penstock.access.policy import HubRole
from penstock.access.principal import Principal
from penstock.errors import ConfigError

# Shorter ones might be guessed. Thirty-two hexadecimal digits have 128 bits.
MIN_LENGTH = 32

VARIABLES: dict[HubRole, str] = {
    "read": "PENSTOCK_HUB_READ_TOKEN",
    "write": "PENSTOCK_HUB_WRITE_TOKEN",
    "promote": "PENSTOCK_HUB_PROMOTE_TOKEN",
    "admin": "PENSTOCK_HUB_ADMIN_TOKEN",
}


def given_tokens(environment: Mapping[str, str]) -> dict[HubRole, str]:
    """Those that an environment has. Raises ConfigError for one that might be guessed, without repeating it."""
    found: dict[HubRole, str] = {}
    for role, variable in VARIABLES.items():
        token = environment.get(variable, "").strip()
        if token and len(token) < MIN_LENGTH:
            raise ConfigError(
                f"{variable} has {len(token)} characters, and a token needs {MIN_LENGTH}.",
                hint="Make one with: openssl rand -hex 32",
            )
        if token:
            found[role] = token
    if len(set(found.values())) < len(found):
        raise ConfigError(
            "Two PENSTOCK_HUB_…_TOKEN variables have one value.", hint="Give each role a token of its own."
        )
    return found


def callers_of(tokens: Mapping[HubRole, str]) -> dict[str, Principal]:
    """By the token's digest. No token in a table can have such a name."""
    return {digest_of(token): Principal(f"environment:{role}", frozenset({role})) for role, token in tokens.items()}
