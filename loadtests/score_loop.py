"""The limit for scoring files: read, predict and write in one loop, chunk by chunk, and nothing else.

Prints the seconds of the loop alone. Run by bench_score.py, in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from penstock.loading import load_path

CHUNK_ROWS = 65_536


def main(package: str, source: str, target: str) -> None:
    estimator: Any = load_path(package).predictor.estimator  # type: ignore[attr-defined]
    estimator.predict(next(_batches(source)).to_pandas())  # imports pandas, among other firsts
    began = perf_counter()
    writer: Any = None
    for batch in _batches(source):
        scored = pa.table({"prediction": estimator.predict(batch.to_pandas())})
        if writer is None:
            made = pq.ParquetWriter if target.endswith(".parquet") else pyarrow.csv.CSVWriter
            writer = made(target, scored.schema)
        writer.write_table(scored)
    writer.close()
    print(perf_counter() - began)


def _batches(source: str) -> Iterator[Any]:
    if source.endswith(".parquet"):
        yield from pq.ParquetFile(source).iter_batches(CHUNK_ROWS)
    else:
        yield from pyarrow.csv.open_csv(source)


if __name__ == "__main__":
    main(*sys.argv[1:])
