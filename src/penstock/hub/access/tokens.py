"""Tokens of the hub: 256 random bits, of which only the SHA-256 is kept: the database tells nobody how to get in.

A token's name is who did it in every record. A revoked one stays in the table, so that its name is not given again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from penstock.access.credentials import digest_of, is_token_name, new_token
from penstock.access.policy import HubRole
from penstock.access.principal import Principal
from penstock.errors import NameInvalid, TokenExists, TokenNotFound
from penstock.sql.database import Database
from penstock.sql.dialect import insert_or_leave
from penstock.sql.token_tables import tokens


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token. Times are milliseconds since 1970; `revoked_at` is None while it is good, `used_at` as
    long as it was never shown, and a minute late at most."""

    name: str
    role: HubRole
    created_at: int
    revoked_at: int | None
    used_at: int | None


@dataclass(frozen=True, slots=True)
class TableCallers:
    """Whom a table of tokens lets in, by the digests of good tokens; `any_made` is whether it ever had a token. A store
    that had one is closed for good: taking away the last token must not open it."""

    by_digest: dict[str, Principal]
    any_made: bool


class TokenTable:
    """The tokens in a database. Every method may raise RegistryUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: HubRole) -> str:
        """A new token, which is shown this once. Raises NameInvalid, and TokenExists for a name given before."""
        if not is_token_name(name):
            raise NameInvalid(f"{name[:60]!r} is not a name for a token: use letters, digits and . _ @ + -")
        token = new_token()

        def change(c: Connection) -> None:
            row = {"name": name, "digest": digest_of(token), "role": role, "created_at": _now()}
            # On PostgreSQL this waits for whoever adds the same name in this moment.
            added = insert_or_leave(c, tokens).values(**row).returning(tokens.c.name)
            if c.execute(added).first() is None:
                raise TokenExists(f"There is or was a token named {name!r}.", hint="Choose another name.")

        self._database.write(change)
        return token

    def revoke(self, name: str) -> None:
        """It lets nobody in from the next moment on. Raises TokenNotFound, also for one that is revoked already."""

        def change(c: Connection) -> None:
            good = (tokens.c.name == name) & tokens.c.revoked_at.is_(None)
            if c.execute(update(tokens).where(good).values(revoked_at=_now())).rowcount == 0:
                raise TokenNotFound(f"There is no token named {name[:60]!r}.")

        self._database.write(change)

    def list(self) -> list[TokenInfo]:
        """All tokens, revoked ones included, by name."""
        rows = self._database.read(lambda c: c.execute(select(tokens)).all())
        found = [TokenInfo(row.name, row.role, row.created_at, row.revoked_at, row.used_at) for row in rows]
        return sorted(found, key=lambda info: info.name)

    def note_used(self, names: Iterable[str]) -> None:
        """These were shown just now."""
        used = tokens.c.name.in_(list(names))
        self._database.write(lambda c: c.execute(update(tokens).where(used).values(used_at=_now())))

    def close(self) -> None:
        """Releases the database's connections."""
        self._database.close()

    def callers(self) -> TableCallers:
        rows = self._database.read(lambda c: c.execute(select(tokens)).all())
        good = {row.digest: Principal(row.name, frozenset({row.role})) for row in rows if row.revoked_at is None}
        return TableCallers(good, any_made=bool(rows))


def _now() -> int:
    return time.time_ns() // 1_000_000
