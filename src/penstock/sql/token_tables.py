"""The table of the hub's tokens."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, String, Table, UniqueConstraint

from penstock.sql.tables import metadata

# `digest` is the SHA-256 of a token, in hex; times are milliseconds since 1970.
tokens = Table(
    "penstock_tokens",
    metadata,
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Column("used_at", BigInteger, nullable=True),  # to the minute
    PrimaryKeyConstraint("name", name="penstock_tokens_pk"),
    UniqueConstraint("digest", name="penstock_tokens_digest"),
)
