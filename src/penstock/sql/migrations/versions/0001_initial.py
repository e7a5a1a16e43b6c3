"""Models, versions, aliases and the history of alias moves.

Written out, not taken from `tables`: a revision says what the tables were, whatever they become.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "penstock_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_models_pk"),
        sa.UniqueConstraint("name", name="penstock_models_name"),
    )
    op.create_table(
        "penstock_versions",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("flavors", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "number", name="penstock_versions_pk"),
        sa.ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_versions_model_fk"),
    )
    op.create_table(
        "penstock_aliases",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("alias", sa.String(255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "alias", name="penstock_aliases_pk"),
        sa.ForeignKeyConstraint(
            ["model_id", "number"],
            ["penstock_versions.model_id", "penstock_versions.number"],
            name="penstock_aliases_version_fk",
        ),
    )
    op.create_table(
        "penstock_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("alias", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("from_number", sa.Integer(), nullable=True),
        sa.Column("to_number", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_moves_pk"),
        sa.ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_moves_model_fk"),
    )
    op.create_index("penstock_moves_alias", "penstock_moves", ["model_id", "alias"])
