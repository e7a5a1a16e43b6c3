"""When each token of the hub was shown last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("penstock_tokens", sa.Column("used_at", sa.BigInteger(), nullable=True))
