"""What is left to be removed of runs, logged models and packages that are gone, and the ids that experiments had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("penstock_changes", sa.Column("next_experiment", sa.BigInteger(), nullable=False, server_default="1"))
    op.create_table(
        "penstock_garbage",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=True),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_garbage_pk"),
    )
    op.create_index("penstock_garbage_place", "penstock_garbage", ["place"], postgresql_using="hash")
