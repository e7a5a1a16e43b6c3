"""The registry as MLflow's clients know it: descriptions, stages, run links, status, origins, times of change, and who
changed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_EMPTY = sa.text("''")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("penstock_models", sa.Column("description", sa.Text(), nullable=False, server_default=_EMPTY))
    op.add_column("penstock_models", sa.Column("updated_at", _TIME, nullable=True))
    for name, type_, default in (
        ("origin", sa.Text(), _EMPTY),
        ("stage", sa.String(16), "None"),
        ("run_link", sa.Text(), _EMPTY),
        ("logged_model", sa.Text(), _EMPTY),
        ("status", sa.String(32), "READY"),
        ("status_message", sa.Text(), _EMPTY),
    ):
        op.add_column("penstock_versions", sa.Column(name, type_, nullable=False, server_default=default))
    op.add_column("penstock_versions", sa.Column("updated_at", _TIME, nullable=True))
    op.create_index("penstock_versions_source", "penstock_versions", ["source"], postgresql_using="hash")
    op.execute("UPDATE penstock_models SET updated_at = created_at")
    op.execute("UPDATE penstock_versions SET updated_at = created_at")
    op.create_table(
        "penstock_model_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_model_changes_pk"),
        sa.ForeignKeyConstraint(["model_id"], ["penstock_models.id"], name="penstock_model_changes_model_fk"),
    )
    op.create_index("penstock_model_changes_model", "penstock_model_changes", ["model_id"])
