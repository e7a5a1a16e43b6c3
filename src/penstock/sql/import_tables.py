"""The tables of imports: where they came from, and how each object was when it was brought over last.

An object's mark is a digest of what the source said of it. With it a later import knows what has changed there since,
and whether it was changed here meanwhile.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from penstock.sql.tables import metadata

imports = Table(
    "penstock_imports",
    metadata,
    Column("id", Integer, nullable=False),
    Column("place", Text, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_imports_pk"),
    UniqueConstraint("place", name="penstock_imports_place"),
)

imported = Table(
    "penstock_imported",
    metadata,
    Column("source", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("id", Text, nullable=False),
    Column("mark", LargeBinary, nullable=False),
    PrimaryKeyConstraint("source", "kind", "id", name="penstock_imported_pk"),
    sqlite_with_rowid=False,
)
