"""The registry's tables. Their names are prefixed, so that they can live in a database with others, MLflow's included.

A change here needs a revision in `migrations/versions` and a new `HEAD`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

HEAD = "0008"
REVISION_TABLE = "penstock_revision"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, both ways. SQLite keeps no zone, so there the text is UTC by this agreement."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a datetime without a time zone reached the registry: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

# A deleted model keeps its row: `last_number` must outlive it, or a number would be used twice.
models = Table(
    "penstock_models",
    metadata,
    Column("id", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("tags", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("updated_at", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("id", name="penstock_models_pk"),
    UniqueConstraint("name", name="penstock_models_name"),
)

# `signature`, `flavors` and `tags` are JSON text; searches look into the tags. `source` is below the artifact root, or
# an absolute path or URL; `origin` is what was given for it. It may be long, which a hash takes and a tree does not.
versions = Table(
    "penstock_versions",
    metadata,
    Column("model_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", String(64), nullable=True),
    Column("signature", Text, nullable=True),
    Column("flavors", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("registered_by", Text, nullable=True),  # unknown before revision 0002
    Column("origin", Text, nullable=False, server_default=text("''")),
    Column("stage", String(16), nullable=False, server_default="None"),
    Column("run_link", Text, nullable=False, server_default=text("''")),
    Column("logged_model", Text, nullable=False, server_default=text("''")),
    Column("status", String(32), nullable=False, server_default="READY"),
    Column("status_message", Text, nullable=False, server_default=text("''")),
    Column("updated_at", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("model_id", "number", name="penstock_versions_pk"),
    ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_versions_model_fk"),
    Index("penstock_versions_source", "source", postgresql_using="hash"),
)

# The second foreign key is what stops a version from vanishing under its alias, whatever else goes wrong.
aliases = Table(
    "penstock_aliases",
    metadata,
    Column("model_id", Integer, nullable=False),
    Column("alias", String(255), nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("model_id", "alias", name="penstock_aliases_pk"),
    ForeignKeyConstraint(
        ["model_id", "number"],
        ["penstock_versions.model_id", "penstock_versions.number"],
        name="penstock_aliases_version_fk",
    ),
)

# The numbers are no foreign keys: history outlives the versions it names.
moves = Table(
    "penstock_moves",
    metadata,
    Column("id", Integer, nullable=False),
    Column("model_id", Integer, nullable=False),
    Column("alias", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("from_number", Integer, nullable=True),
    Column("to_number", Integer, nullable=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_moves_pk"),
    ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_moves_model_fk"),
    Index("penstock_moves_alias", "model_id", "alias"),
)

# Who changed what, but for moves of aliases. The number is no foreign key, as above.
model_changes = Table(
    "penstock_model_changes",
    metadata,
    Column("id", Integer, nullable=False),
    Column("model_id", Integer, nullable=False),
    Column("number", Integer, nullable=True),
    Column("kind", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_model_changes_pk"),
    ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_model_changes_model_fk"),
    Index("penstock_model_changes_model", "model_id"),
)
