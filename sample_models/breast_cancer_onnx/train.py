"""A forest over breast tumour measurements, as ONNX: python sample_models/breast_cancer_onnx/train.py OUT_DIR

Writes model.onnx, rows.csv (an example of what callers send), request.json (the same rows as a request) and dataset.csv
(the 114 tumours left out of training).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

EXAMPLE_ROWS = 5


def load_rows() -> tuple[Any, Any, Any, Any]:
    """Frames of 30 measurements to train on (455) and to score (114), then their classes: 0 malignant, 1 benign.

    The measurements are rounded to float32 numbers, the type that the graph computes in.
    """
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    cancer = load_breast_cancer(as_frame=True)
    frame = cancer.data.astype("float32").rename(columns=lambda name: name.replace(" ", "_"))
    return tuple(train_test_split(frame, cancer.target, test_size=0.2, stratify=cancer.target, random_state=0))


def fit() -> Any:
    """The fitted forest. It sees an array, so that the graph gets one input of 30 columns and not 30 inputs.

    Its trees grow until their leaves are pure, so probabilities are whole 64ths: the same in float32 and float64.
    """
    from sklearn.ensemble import RandomForestClassifier

    rows, _, classes, _ = load_rows()
    return RandomForestClassifier(n_estimators=64, random_state=0).fit(rows.to_numpy(), classes)


def to_graph(forest: Any) -> Any:
    """The onnx.ModelProto: floats (rows, 30) in; label (rows,) and probabilities (rows, 2) out."""
    import numpy as np
    from skl2onnx import to_onnx

    # Without zipmap the probabilities are one array; with it they would be a list of dicts, which cannot be batched.
    return to_onnx(forest, np.zeros((1, 30), dtype=np.float32), options={"zipmap": False}, target_opset=17)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(to_graph(fit()).SerializeToString())
    _, rows, _, _ = load_rows()
    rows.head(EXAMPLE_ROWS).to_csv(out / "rows.csv", index=False)
    request = {"inputs": rows.head(EXAMPLE_ROWS).to_numpy().tolist()}
    (out / "request.json").write_text(json.dumps(request), encoding="utf-8")
    rows.to_csv(out / "dataset.csv", index=False)
    print(f"wrote model.onnx, rows.csv, request.json and dataset.csv to {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: train.py OUT_DIR")
    main(Path(sys.argv[1]))
