"""Boosted ensembles: as many trees a stage as there are outputs, and all of them trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, shape_of

_BITSET_WORDS = 8


def check_boosted(ensemble: Any, attributes: Attributes) -> None:
    """Compiled code adds tree k of a stage to output k, and takes for granted that both are there."""
    stages, outputs = attributes["estimators_"], attributes["n_trees_per_iteration_"]
    if not isinstance(stages, np.ndarray) or stages.ndim != 2 or stages.shape[1] != outputs:
        raise refused(ensemble, "has more trees a stage than outputs")
    for member in stages.flat:
        tree = vars(member).get("tree_")
        if type(member).__module__ != "sklearn.tree._classes" or type(tree).__module__ != "sklearn.tree._tree":
            raise refused(ensemble, "has a stage that is no tree")
        if tree.n_outputs != 1 or shape_of(tree.value)[1:] != (1, 1):
            raise refused(ensemble, "has a tree with several outputs")
        if vars(member).get("n_features_in_") != attributes["n_features_in_"]:  # the first one looks at the rows' width
            raise refused(ensemble, "has a tree of another width than its rows")
    if bool(attributes["_loss"].is_multiclass) != (outputs > 1):
        raise refused(ensemble, "has a loss for another number of outputs")
    _check_first(ensemble, attributes, outputs)


def _check_first(ensemble: Any, attributes: Attributes, outputs: int) -> None:
    """What the stages add to: one number for each output. Of an estimator of another kind nobody can tell, so that
    such an ensemble runs in a process of its own."""
    first = attributes["init_"]
    if isinstance(first, str) or type(first).__module__ != "sklearn.dummy":
        return
    classes, wanted = vars(first).get("n_classes_"), 2 if outputs == 1 else outputs
    sizes = [np.size(vars(first)[name]) for name in ("class_prior_", "classes_") if name in vars(first)]
    if vars(first).get("n_outputs_") != 1 or (classes is not None and {classes, *sizes} != {wanted}):
        raise refused(ensemble, "begins with another number of outputs")
    if classes is None and (outputs != 1 or np.size(vars(first)["constant_"]) != 1):
        raise refused(ensemble, "begins with another number of outputs")


def check_boosted_histograms(ensemble: Any, attributes: Attributes) -> None:
    columns, bins = attributes["n_features_in_"], attributes["_bin_mapper"]
    if attributes.get("_in_fit"):
        raise refused(ensemble, "says that it is being fitted")
    if len(bins.bin_thresholds_) != columns or shape_of(bins.is_categorical_) != (columns,):
        raise refused(ensemble, "has bins for other columns than its own")
    for stage in attributes["_predictors"]:
        if len(stage) != attributes["n_trees_per_iteration_"]:
            raise refused(ensemble, "has more trees a stage than outputs")
        for predictor in stage:
            for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
                if shape_of(bits)[1:] != (_BITSET_WORDS,):
                    raise refused(ensemble, "has sets of categories of another size")
    _check_preprocessor(ensemble, attributes.get("_preprocessor"), columns)


def _check_preprocessor(ensemble: Any, transformer: Any, columns: int) -> None:
    """Categories are encoded before the trees see a row: each column once, and none left out."""
    if transformer is None:
        return
    parts = [(part, mask) for _, part, mask in transformer.transformers_ if not isinstance(part, str)]
    masks = [np.asarray(mask) for _, mask in parts]
    kinds = [type(part).__name__ for part, _ in parts]
    whole = all(mask.dtype == bool and mask.shape == (columns,) for mask in masks)
    if kinds != ["OrdinalEncoder", "FunctionTransformer"] or not whole or not (masks[0] ^ masks[1]).all():
        raise refused(ensemble, "encodes other columns than its own")
    if any(part.n_features_in_ != mask.sum() for (part, _), mask in zip(parts, masks, strict=True)):
        raise refused(ensemble, "encodes other columns than its own")
