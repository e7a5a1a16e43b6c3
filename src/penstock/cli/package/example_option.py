"""Example rows from a file, as `--example` takes them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from penstock.errors import MalformedInput, PackagingFailed
from penstock.payload import Payload, Table, shortened, some


def read_original(path: Path, columns: Sequence[str]) -> Any:
    """The first rows of the file as pandas reads it, which is what the model's author has seen; None where it holds
    something else than rows."""
    import pandas as pd

    from penstock.package.original import ROWS

    kind = path.suffix.lower()
    if kind == ".csv":
        frame = pd.read_csv(path, nrows=ROWS)
    elif kind == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            frame = pa.Table.from_batches([next(file.iter_batches(batch_size=ROWS))]).to_pandas()
    else:
        document = json.loads(path.read_bytes())
        if "dataframe_split" in document:
            split = document["dataframe_split"]
            frame = pd.DataFrame(split["data"], columns=split.get("columns"))
        elif "dataframe_records" in document:
            frame = pd.DataFrame(document["dataframe_records"])
        else:
            return None
    return frame[list(columns)] if columns else frame


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


def only_columns(payload: Payload, names: Sequence[str]) -> Payload:
    """The example with these columns alone, in this order; all of it where none is named. Raises PackagingFailed."""
    if not names:
        return payload
    if not isinstance(payload, Table) or payload.names is None:
        raise PackagingFailed("The example has no named columns to choose from.")
    known = {str(name): position for position, name in enumerate(payload.names)}
    if missing := [name for name in names if name not in known]:
        raise PackagingFailed(
            f"The example has no column {shortened(missing[0])}.", hint=f"It has: {some(payload.names)}."
        )
    chosen = [known[name] for name in dict.fromkeys(names)]
    return Table.of([payload.names[i] for i in chosen], [payload.column(i) for i in chosen], payload.index)


def _parquet(path: Path) -> Table:
    from penstock.flavors.interface import need
    from penstock.wire.columnar import table_of_batch, without_index
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
    return table_of_batch(without_index(pa.Table.from_batches([batch])))


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


class LabelColumn(NamedTuple):
    """The first column of a CSV that holds a frame's row labels: what to say of it, and the command that takes it out
    of the file."""

    warning: str
    removal: str


def label_column(path: Path) -> LabelColumn | None:
    """pandas' to_csv writes such a column unless it is told otherwise; None where there is none."""
    from penstock.wire.csv import text_columns

    if path.suffix.lower() != ".csv":
        return None
    names, columns = text_columns(path.read_bytes())
    if not names or names[0] not in _LABELS:
        return None
    numbered = columns[0].tolist() == [str(i) for i in range(len(columns[0]))]
    what = "row numbers" if numbered else "row labels"
    file = json.dumps(str(path), ensure_ascii=False)
    removal = f"import pandas; pandas.read_csv({file}, index_col=0).to_csv({file}, index=False)"
    return LabelColumn(
        f"The first column of {path} has no name: it seems to be {what}, which pandas' to_csv writes unless it is "
        f"given index=False. Callers would have to send it as {shortened(names[0])}.",
        f"python -c {shlex.quote(removal)}",
    )


# What a column without a name is called, and what pandas writes for one that it has read so.
_LABELS = ("Unnamed: 0", "Unnamed: 0.1")


def read_params(given: Sequence[str]) -> dict[str, object]:
    """`NAME=VALUE` as a param by name: a value is JSON, or else text. Raises UsageError."""
    params: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--param takes NAME=VALUE, not {text!r}.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params
