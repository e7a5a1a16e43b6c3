"""Encoders and vectorizers, whose codes become the column indices of a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, within


def check_categories(encoder: Any, attributes: Attributes) -> None:
    """Numbers are found by bisection, so they must be in order; other categories are looked up in a dict."""
    categories = attributes["categories_"]
    if not isinstance(categories, list) or not all(isinstance(c, np.ndarray) and c.ndim == 1 for c in categories):
        raise refused(encoder, "has categories that are no lists")
    if len(categories) != attributes["n_features_in_"]:
        raise refused(encoder, "has categories of other columns than its own")
    for column in categories:
        if not len(column):
            raise refused(encoder, "has a column without categories")
        known = column[~np.isnan(column)] if column.dtype.kind == "f" else column
        if column.dtype.kind in "iuf" and not (known[1:] > known[:-1]).all():
            raise refused(encoder, "has categories that are not in order")
        if column.dtype.kind == "f" and len(known) < len(column) - np.isnan(column[-1]):
            raise refused(encoder, "has categories that are not in order")
    if attributes.get("_infrequent_enabled"):
        _check_infrequent(encoder, attributes)


def _check_infrequent(encoder: Any, attributes: Attributes) -> None:
    for column, names, codes in zip(
        attributes["categories_"],
        attributes["_infrequent_indices"],
        attributes["_default_to_infrequent_mappings"],
        strict=True,
    ):
        if (names is None) != (codes is None):
            raise refused(encoder, "has infrequent categories without codes")
        if names is not None and not (
            len(names) and within(names, len(column)) and within(codes, len(column)) and len(codes) == len(column)
        ):
            raise refused(encoder, "has codes of categories that it does not have")


def check_one_hot(encoder: Any, attributes: Attributes) -> None:
    """Each column of codes has as many places in the answer as it has codes left."""
    check_categories(encoder, attributes)
    counts = [_codes(attributes, i) for i in range(len(attributes["categories_"]))]
    dropped = attributes["_drop_idx_after_grouping"]
    drops = [None] * len(counts) if dropped is None else list(dropped)
    if len(drops) != len(counts) or not all(d is None or 0 <= int(d) < n for d, n in zip(drops, counts, strict=True)):
        raise refused(encoder, "drops categories that it does not have")
    expected = [n - (d is not None) for n, d in zip(counts, drops, strict=True)]
    if [int(n) for n in attributes["_n_features_outs"]] != expected:
        raise refused(encoder, "answers with other columns than it has categories")


def _codes(attributes: Attributes, column: int) -> int:
    codes = attributes["_default_to_infrequent_mappings"][column] if attributes.get("_infrequent_enabled") else None
    return len(attributes["categories_"][column]) if codes is None else int(codes.max()) + 1


def check_vocabulary(vectorizer: Any, attributes: Attributes) -> None:
    """Words have the numbers from 0 on, each once."""
    if "vocabulary_" not in attributes:
        return  # it is made from a given vocabulary, which scikit-learn looks at
    vocabulary = attributes["vocabulary_"]
    numbers = list(vocabulary.values())
    if not all(isinstance(n, (int, np.integer)) for n in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise refused(vectorizer, "gives words numbers that it has no column for")
