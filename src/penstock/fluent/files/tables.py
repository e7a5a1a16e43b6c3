"""Tables of a run: rows that are appended over several calls to one file, in the form of pandas' `split`."""

from __future__ import annotations

import datetime
import json
import math
import posixpath
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from typing import Any, NamedTuple

from penstock.errors import DependencyMissing, TrackingInvalid, TrackingRefused
from penstock.fluent.artifacts import log_content
from penstock.fluent.files.downloads import read_artifact
from penstock.fluent.files.images import as_picture, is_picture, saved_as, small
from penstock.fluent.logged import set_tags
from penstock.fluent.reading import get_run, search_runs
from penstock.fluent.runs import ActiveRun, active_run, run_in_use

_TAG = "mlflow.loggedArtifacts"


class LoggedRows(NamedTuple):
    """Names of columns, and rows of plain JSON values."""

    columns: list[Any]
    rows: list[list[Any]]

    def and_then(self, more: LoggedRows) -> LoggedRows:
        """With the rows of another one behind. A column that one of them lacks is empty there."""
        columns = [*self.columns, *(name for name in more.columns if name not in self.columns)]
        return LoggedRows(columns, [*_laid_out(self, columns), *_laid_out(more, columns)])


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """A DataFrame, or a dict of columns, of which a single value counts as a column of one row. What is logged to the
    same file again is appended. The file is JSON, or Parquet by its name, which needs pandas; images in cells become
    files beside it. Raises TrackingInvalid."""
    if not artifact_file.endswith((".json", ".parquet")):
        raise TrackingInvalid(f"{artifact_file!r} is no table.", hint="Its name ends in .json or .parquet.")
    run = run_in_use() if run_id is None else active_run()
    run = run if run is not None and run_id in (None, run.info.run_id) else None
    target = run.info.run_id if run is not None else str(run_id)
    rows = rows_of(data, artifact_file, target if run is None else None)
    if (before := _before(run, target, artifact_file)) is not None:
        rows = before.and_then(rows)
    if run is not None:
        run.tables[artifact_file] = rows
    log_content(artifact_file, lambda place: place.write_bytes(_encoded(rows, artifact_file)), target)
    _note(run, target, artifact_file)


def load_table(
    artifact_file: str, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> Any:
    """The tables of that name of all runs of the experiment, or of some, as one DataFrame. `extra_columns` are columns
    of `search_runs` that say whose row it is. Raises TrackingInvalid where no run has such a table."""
    pandas = _pandas("Reading tables")
    name = artifact_file.replace("'", "''")
    runs = search_runs(filter_string=f'tags.`{_TAG}` LIKE \'%"path"%:%"{name}",%"type"%:%"table"%\'')
    if run_ids:
        runs = runs[runs["run_id"].isin(list(run_ids))]
    if not len(runs):
        raise TrackingInvalid(f"No run has the table {artifact_file!r}.", field="artifact_file")
    found = []
    for _, run in runs.iterrows():
        table = _frame(read_artifact(run["run_id"], artifact_file), artifact_file, pandas)
        for column in extra_columns or ():
            table[f"{column}_" if column in table else column] = run[column]
        found.append(table)
    return pandas.concat(found, ignore_index=True)


def rows_of(data: Any, artifact_file: str, run_id: str | None) -> LoggedRows:
    """What was given, with images as files of the run. Raises TrackingInvalid for what is no table."""
    if isinstance(data, Mapping):
        columns = {name: _column(cells) for name, cells in data.items()}
        lengths = {len(cells) for cells in columns.values()}
        if len(lengths) > 1:
            raise TrackingInvalid("The columns of the table are not of one length.", field="data")
    elif hasattr(data, "to_json") and hasattr(data, "columns"):
        columns = {name: list(data[name]) for name in data.columns}
    else:
        raise TrackingInvalid(
            f"{type(data).__name__} is no table.", hint="Give a DataFrame, or a dict of columns.", field="data"
        )
    for name, cells in columns.items():
        pictures = sum(map(is_picture, cells))
        if pictures and pictures < len(cells):
            raise TrackingInvalid(f"The column {name!r} has images and other values.", field="data")
        plain = _picture_cell if pictures else _plain
        columns[name] = [plain(cell, artifact_file, run_id) for cell in cells]
    return LoggedRows(list(columns), [list(row) for row in zip(*columns.values())])


def _column(cells: Any) -> list[Any]:
    if hasattr(cells, "tolist") and getattr(cells, "ndim", 1) == 1:
        return list(cells.tolist())
    return list(cells) if isinstance(cells, (list, tuple, range)) else [cells]


def _plain(cell: Any, *_: Any) -> Any:
    """As JSON has it: no number is null, times are ISO 8601, of other objects their text is kept."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if cell is None or isinstance(cell, (bool, int, str)):
        return cell
    if isinstance(cell, Mapping):
        return {str(name): _plain(value) for name, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_plain(each) for each in cell]
    if type(cell).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(timespec="milliseconds")
    if isinstance(cell, datetime.date):
        return f"{cell.isoformat()}T00:00:00.000"
    return _plain(cell.tolist()) if hasattr(cell, "tolist") else str(cell)


def _picture_cell(cell: Any, artifact_file: str, run_id: str | None) -> dict[str, str]:
    """Two files, and what MLflow's page takes for a picture."""
    name = posixpath.join("table_images", posixpath.splitext(artifact_file)[0], str(uuid.uuid4()))
    picture = as_picture(cell)
    log_content(f"{name}.png", saved_as(picture, "png"), run_id)
    log_content(f"{name}.webp", saved_as(small(picture), "webp"), run_id)
    return {"type": "image", "filepath": f"{name}.png", "compressed_filepath": f"{name}.webp"}


def _laid_out(table: LoggedRows, columns: Sequence[Any]) -> list[list[Any]]:
    if table.columns == columns:
        return table.rows
    place = {name: number for number, name in enumerate(table.columns)}
    return [[row[place[name]] if name in place else None for name in columns] for row in table.rows]


def _before(run: ActiveRun | None, run_id: str, artifact_file: str) -> LoggedRows | None:
    """What the file holds already. Of a run that began here it is known; of another one it is read."""
    if run is not None and (artifact_file in run.tables or run.is_new):
        return run.tables.get(artifact_file)
    try:
        content = read_artifact(run_id, artifact_file)
    except TrackingRefused:
        return None
    if artifact_file.endswith(".json"):
        found = json.loads(content)
        return LoggedRows(found["columns"], found["data"])
    frame = _frame(content, artifact_file, _pandas("Parquet"))
    return LoggedRows(list(frame.columns), [[_plain(cell) for cell in row] for row in frame.values.tolist()])


def _note(run: ActiveRun | None, run_id: str, artifact_file: str) -> None:
    """In the tag by which pages and `load_table` find tables."""
    tags = run.data.tags if run is not None else get_run(run_id).data.tags
    noted = json.loads(tags.get(_TAG, "[]"))
    entry = {"path": artifact_file, "type": "table"}
    if entry not in noted:
        text = json.dumps([*noted, entry])
        set_tags({_TAG: text}, run_id=run_id)
        if run is not None:
            run.data = replace(run.data, tags={**tags, _TAG: text})


def _encoded(table: LoggedRows, artifact_file: str) -> bytes:
    if artifact_file.endswith(".json"):
        return json.dumps({"columns": table.columns, "data": table.rows}, ensure_ascii=False).encode()
    into = BytesIO()
    _pandas("Parquet").DataFrame(table.rows, columns=table.columns).to_parquet(into, index=False)
    return into.getvalue()


def _frame(content: bytes, artifact_file: str, pandas: Any) -> Any:
    if artifact_file.endswith(".parquet"):
        return pandas.read_parquet(BytesIO(content))
    found = json.loads(content)
    return pandas.DataFrame(found["data"], columns=found["columns"])


def _pandas(what: str) -> Any:
    try:
        return import_module("pandas")
    except ImportError as error:
        raise DependencyMissing(f"{what} needs pandas.", hint="pip install pandas") from error
