"""Deleted things are found by those who ask for them."""

from __future__ import annotations

from penstock.sql.search.compiling import Sql
from penstock.tracking.experiments import ViewType


def of_view(column: str, view: ViewType) -> list[Sql]:
    """Deleted ones, others, or no condition for all."""
    return [] if view == "ALL" else [Sql(f"{column} = ?", (view == "DELETED_ONLY",))]
