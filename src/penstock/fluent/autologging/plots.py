"""Drawings of a classifier's answers to the data that it was fitted with, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LOOK = {"savefig.dpi": 175, "figure.autolayout": True, "font.size": 8}


def training_plots(
    estimator: Any, rows: Any, target: Any, weights: Any
) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """The name of each, and what writes it to a place, which may fail."""
    if target is None or find_spec("matplotlib") is None or not import_module("sklearn.base").is_classifier(estimator):
        return
    metrics = import_module("sklearn.metrics")
    data = {"estimator": estimator, "X": rows, "y": target, "sample_weight": weights}
    matrix = {**data, "normalize": "true", "cmap": "Blues"}
    drawings = {"confusion_matrix": (metrics.ConfusionMatrixDisplay, matrix, "Normalized confusion matrix")}
    if len(set(target)) == 2:
        drawings["roc_curve"] = (metrics.RocCurveDisplay, data, "ROC curve")
        drawings["precision_recall_curve"] = (metrics.PrecisionRecallDisplay, data, "Precision recall curve")
    for name, (display, arguments, title) in drawings.items():
        yield f"training_{name}", _drawing(display.from_estimator, arguments, title)


def _drawing(draw: Callable[..., Any], arguments: dict[str, Any], title: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        matplotlib, figures = import_module("matplotlib"), import_module("matplotlib.figure")
        with matplotlib.rc_context(_LOOK):
            figure = figures.Figure()  # of its own: the program's are left alone, and so is its window
            axes = figure.subplots()
            draw(**arguments, ax=axes)
            axes.set_title(title)
            figure.savefig(str(place), format="png")

    return write
