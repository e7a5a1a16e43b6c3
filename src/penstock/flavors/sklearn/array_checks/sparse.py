"""Sparse matrices: row pointers in order, and column indices inside."""

from __future__ import annotations

from typing import Any

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused


def check_sparse(matrix: Any, attributes: Attributes) -> None:
    """scipy looks at lengths when it makes one, and at the indices themselves only when asked."""
    try:
        matrix.check_format(full_check=True)
    except Exception as error:
        raise refused(matrix, "has indices outside of its shape") from error
