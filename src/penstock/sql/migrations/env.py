"""What Alembic runs: on the caller's connection and in its transaction. Logging is left alone."""

from __future__ import annotations

from alembic import context

from penstock.sql import (  # noqa: F401  (their tables are part of the metadata)
    garbage_table,
    import_tables,
    token_tables,
    tracking_tables,
)
from penstock.sql.tables import REVISION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
