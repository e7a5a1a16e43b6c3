"""Errors of searches."""

from __future__ import annotations

from penstock.errors.root import PenstockError


class SearchInvalid(PenstockError):
    """`field` is the one of the request that cannot be read: filter, order_by, page_token or datasets. `column` is the
    place in its text where reading ended, from 1; None where there is no such place."""

    code = "search_invalid"

    def __init__(self, message: str, *, hint: str = "", field: str = "filter", column: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.column = column
