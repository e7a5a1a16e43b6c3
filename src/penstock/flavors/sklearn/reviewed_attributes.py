"""Attributes by which an estimator of a reviewed type could reach files or names: what each may be in a data-only file.

Reviewed against scikit-learn 1.9: every `open`, `getattr` with a stored name, `attrgetter` and joblib cache in code
that predicts. A process of its own does not cure reading a file, so any other value makes the package code-carrying.
What can only cost time or memory (token_pattern, analyzer, n_features) is not here: `placement_table` sends it to a
process of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from penstock.flavors.sklearn.skops_description import DescribedObject

_METHODS = frozenset({"predict", "predict_proba", "predict_log_proba", "decision_function", "transform"})
_IMPORTANCES = re.compile(r"auto|([a-z][a-z0-9_]*\.)*(coef_|feature_importances_)")


class ReviewedAttribute(NamedTuple):
    """`allows` says whether a plain value is data; `reaches` is what another one could do, `mend` how to repackage."""

    allows: Callable[[Any], bool]
    reaches: str
    mend: str


def _content(value: Any) -> bool:
    return isinstance(value, str) and value == "content"


def _nothing(value: Any) -> bool:
    return value is None


def _methods(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return all(name is None or (isinstance(name, str) and name in {*_METHODS, "auto", "drop"}) for name in names)


def _importances(value: Any) -> bool:
    return isinstance(value, str) and _IMPORTANCES.fullmatch(value) is not None


_INPUT = ReviewedAttribute(_content, "reads the files that rows name", "Set input='content' and send the text itself")
_MEMORY = ReviewedAttribute(_nothing, "caches in files", "Set memory=None")
_METHOD = ReviewedAttribute(_methods, "calls a method by name", "Use predict_proba, decision_function or predict")
_TEXT = ReviewedAttribute(
    lambda value: value is None or isinstance(value, str), "calls a function", "Preprocess the text before it is sent"
)
_GETTER = ReviewedAttribute(
    _importances, "looks attributes up by name", "Use importance_getter='auto', or the name of public attributes"
)

# The attribute's name -> what it may be. They mean the same in all estimators that have them.
REVIEWED_ATTRIBUTES = {
    "input": _INPUT,  # CountVectorizer, TfidfVectorizer, HashingVectorizer
    "analyzer": _TEXT,
    "tokenizer": _TEXT,
    "preprocessor": _TEXT,
    "strip_accents": _TEXT,
    "decode_error": _TEXT,
    "encoding": _TEXT,
    "memory": _MEMORY,  # Pipeline, FeatureAgglomeration, AgglomerativeClustering, HDBSCAN, OPTICS
    "stack_method_": _METHOD,  # StackingClassifier, StackingRegressor
    "chain_method": _METHOD,  # ClassifierChain
    "chain_method_": _METHOD,
    "response_method": _METHOD,  # FixedThresholdClassifier, TunedThresholdClassifierCV
    "_response_method": _METHOD,
    "importance_getter": _GETTER,  # SelectFromModel, RFE, RFECV
}

_OF_VECTORIZERS = frozenset({"input", "analyzer", "tokenizer", "preprocessor", "strip_accents"})
_VECTORIZERS = frozenset(f"sklearn.feature_extraction.text.{n}Vectorizer" for n in ("Count", "Tfidf", "Hashing"))


def code_in_attributes(objects: Iterable[DescribedObject]) -> list[str]:
    """Why the attributes of these objects count as code, one sentence each; empty where they are data."""
    found = []
    for one in objects:
        if one.loader == "ObjectNode" and one.type.startswith("sklearn."):
            for name in one.attributes.keys() & REVIEWED_ATTRIBUTES.keys():
                reviewed = REVIEWED_ATTRIBUTES[name]
                if name in _OF_VECTORIZERS and one.type not in _VECTORIZERS:
                    continue
                value = one.plain(name)
                if value is NotImplemented or not reviewed.allows(value):
                    shown = "a value that is not plain" if value is NotImplemented else repr(value)[:60]
                    kind = one.type.rpartition(".")[2]
                    found.append(f"holds a {kind} that {reviewed.reaches}: {name} is {shown}. {reviewed.mend}")
    return sorted(set(found))
