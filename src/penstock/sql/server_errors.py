"""What a PostgreSQL server means that answers, but not with what it was asked for: by its error codes, in plain words.

Source: PostgreSQL 17, appendix A (PostgreSQL error codes). A class (`53`) stands for all codes that begin with it, but
for those that have a row themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.errors import RegistryDenied, RegistryError, RegistryFull, RegistryUnavailable


class ServerError(NamedTuple):
    """`what` follows the place of the registry in a sentence, and what the server said follows it."""

    kind: type[RegistryError]
    what: str
    hint: str


_AGAIN = "Nothing was written. Try again."
_LOG = "The database's own log says more."

_BY_CODE = {
    "22": ServerError(RegistryError, "cannot hold a value", ""),
    "23": ServerError(RegistryUnavailable, "was changed by somebody else in this moment", _AGAIN),
    "25P03": ServerError(RegistryUnavailable, "ended a transaction that it found idle", _AGAIN),
    "28": ServerError(RegistryDenied, "does not let us in", "Look at the user and the password in its URL."),
    "3D000": ServerError(RegistryDenied, "has no such database", "Look at the database's name in its URL."),
    "40": ServerError(RegistryUnavailable, "was changed by somebody else in this moment", _AGAIN),
    "42501": ServerError(
        RegistryDenied, "does not let us read its tables", "Grant the user of its URL SELECT on all tables penstock_…"
    ),
    "53": ServerError(RegistryUnavailable, "has not enough resources left", _LOG),
    "53100": ServerError(
        RegistryFull, "has no room for what is written", "Make room on its disk; reading goes on meanwhile."
    ),
    "53300": ServerError(
        RegistryUnavailable,
        "takes no more connections",
        "Raise its max_connections, or put a pooler such as PgBouncer before it.",
    ),
    "54": ServerError(RegistryError, "does not take statements or values as large as this", ""),
    "55P03": ServerError(
        RegistryUnavailable, "kept a lock waiting for too long", "See who holds it in pg_stat_activity, and try again."
    ),
    "57": ServerError(RegistryUnavailable, "ended what it was doing for us", _LOG),
    "57014": ServerError(
        RegistryUnavailable,
        "ended a statement that took too long",
        "Try again later; if this goes on, look for locks and load in the database (pg_stat_activity).",
    ),
    "57P01": ServerError(RegistryUnavailable, "is being shut down", "Try again once it is back."),
    "57P02": ServerError(RegistryUnavailable, "starts again after a failure", "Try again in a moment."),
    "57P03": ServerError(RegistryUnavailable, "does not take connections just now", "Try again in a moment."),
    "57P05": ServerError(RegistryUnavailable, "ended a connection that it found idle", _AGAIN),
    "58": ServerError(RegistryUnavailable, "has trouble with its own files", _LOG),
    "XX001": ServerError(RegistryUnavailable, "is damaged", "Restore it from a backup."),
    "XX002": ServerError(RegistryUnavailable, "is damaged", "Rebuild its indexes: REINDEX DATABASE, see its manual."),
}

# What a pooler, a plug-in or a newer server may say. A connection that broke (class 08) has said nothing.
_ANY = ServerError(RegistryUnavailable, "refuses what it was asked", _LOG)


def server_error(code: str) -> ServerError | None:
    """None for what is no code of PostgreSQL's, and for a connection that was lost."""
    if len(code) != 5 or code.startswith("08"):
        return None
    return _BY_CODE.get(code) or _BY_CODE.get(code[:2], _ANY)
