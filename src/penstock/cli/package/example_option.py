"""Example rows from a file, as `--example` takes them."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import MalformedInput, PackagingFailed
from penstock.payload import Payload, Table, shortened


def read_example_file(path: Path) -> tuple[Payload, dict[str, object]]:
    """The rows and params in a .csv or .parquet file, or in a .json file that holds a request body.

    Raises PackagingFailed.
    """
    if not path.is_file():
        raise PackagingFailed(f"There is no file {path}.")
    kind = path.suffix.lower()
    if kind == ".parquet":
        return _parquet(path), {}
    try:
        if kind == ".csv":
            from penstock.wire.csv import decode_csv

            return decode_csv(path.read_bytes(), None).payload, {}
        if kind == ".json":
            from penstock.wire.mlflow.invocations import decode_json

            decoded = decode_json(path.read_bytes(), None)
            return decoded.payload, dict(decoded.params or {})
    except MalformedInput as error:
        raise PackagingFailed(f"The example {path} cannot be read. {error.message}", hint=error.hint) from None
    raise PackagingFailed(
        f"{path.name} has no file extension that tells its format.", hint="Use .csv, .parquet or .json."
    )


def _parquet(path: Path) -> Table:
    from penstock.flavors.interface import need
    from penstock.wire.columnar import table_of_batch
    from penstock.wire.soundness import find_fault, why_unreadable

    need("pyarrow", "parquet", purpose="A Parquet example")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=1000))
    except StopIteration:
        raise PackagingFailed(f"The example {path} has no rows.") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PackagingFailed(f"The example {path} is not a readable Parquet file: {why_unreadable(error)}.") from None
    if (fault := find_fault(batch)) is not None:
        raise PackagingFailed(f"The example {path} cannot be used: {fault}.")
    return table_of_batch(batch)


def zeros_lost(path: Path) -> list[str]:
    """A sentence for each column of a CSV example that is read as numbers, though its cells begin with zeros, as zip
    codes do."""
    from penstock.wire.csv import loses_zeros, text_columns

    if path.suffix.lower() != ".csv":
        return []
    names, columns = text_columns(path.read_bytes())
    found = {name: cell for name, column in zip(names, columns, strict=True) if (cell := loses_zeros(column))}
    return [
        f"Column {shortened(name)} is read as numbers, so {shortened(cell)} loses its zeros. If they matter, give the "
        "example as Parquet or JSON, with text in that column."
        for name, cell in found.items()
    ]
