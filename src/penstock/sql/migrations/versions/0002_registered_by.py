"""Who registered a version; unknown for those that are there already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("penstock_versions", sa.Column("registered_by", sa.Text(), nullable=True))
