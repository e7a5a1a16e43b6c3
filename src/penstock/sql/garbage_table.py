"""The table of what `hub gc` has taken out of the store and not removed yet."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, Table, Text

from penstock.sql.tables import metadata
from penstock.sql.tracking_tables import Key

# A run or logged model is in its own table or here, never in both: what belongs to it is removed afterwards, however
# often that is cut off. `key` is the one that its other rows have; `place` is where its files are, below the hub's
# artifacts, or empty where they are not the hub's. No version may be registered with files that are here.
garbage = Table(
    "penstock_garbage",
    metadata,
    Column("id", Key, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("owner", Text, nullable=False),
    Column("key", BigInteger, nullable=True),
    Column("place", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_garbage_pk"),
    Index("penstock_garbage_place", "place", postgresql_using="hash"),
)
