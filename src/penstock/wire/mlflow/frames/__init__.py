"""Requests to models that are handed pandas frames, read as MLflow reads them: by pandas itself.

MLflow's protocol is defined by what pandas and numpy make of a body: how `DataFrame` guesses a column's dtype, what
`astype` takes, which dates `to_datetime` understands. The quick readers of `wire` cover what nearly all callers send;
whatever is beyond those comes here, and is parsed (`parsing`, `frame_casts`) and enforced (`enforcing`, and columns,
cells and tensors beside it) in MLflow's two stages with the same libraries, so that the answers follow pandas'
versions as MLflow's do. Where those would corrupt data without a word (`corruption`), the cell is refused instead.

Source: the scoring protocol of `mlflow models serve`, 3.18.
"""

from penstock.wire.mlflow.frames.csv_exact import read_csv_exactly
from penstock.wire.mlflow.frames.csv_frames import read_csv
from penstock.wire.mlflow.frames.frame_payloads import without_row_labels
from penstock.wire.mlflow.frames.parsing import read_columnar, read_document, read_unwrapped

__all__ = [
    "read_columnar",
    "read_csv",
    "read_csv_exactly",
    "read_document",
    "read_unwrapped",
    "without_row_labels",
]
