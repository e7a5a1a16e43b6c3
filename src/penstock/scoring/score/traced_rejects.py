"""Rejects with what leads back to their rows: the kept columns, the place in the file, and the text there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from penstock.errors import ScoringError
from penstock.payload import shortened
from penstock.scoring.column_texts import json_column
from penstock.scoring.plan import Source
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.read.decoding import Rows
from penstock.scoring.read.raw_rows import raw_rows
from penstock.scoring.rejects import Reject

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable


def traced(rejects: Sequence[Reject], chunk: Chunk, source: Source, rows: Rows) -> tuple[Reject, ...]:
    """The rejects in the order of the rows. `chunk` has its data where that is text."""
    if not rejects:
        return ()
    ordered = sorted(rejects, key=lambda reject: reject.row)
    places = [reject.row - chunk.row for reject in ordered]
    raws = raw_rows(chunk, source.format, places) if isinstance(chunk.data, bytes) else [None] * len(places)
    kept = _kept(rows, places)
    return tuple(
        replace(reject, kept=kept.get(place), raw=raw) for reject, place, raw in zip(ordered, places, raws, strict=True)
    )


def _kept(rows: Rows, places: Sequence[int]) -> dict[int, str]:
    """The kept columns by place, of those rows that could be read."""
    wanted = np.flatnonzero(np.isin(rows.places, places))
    if not rows.kept.num_columns:
        return {int(place): "{}" for place in rows.places[wanted]}
    table = rows.kept.take(wanted)
    columns = [_cells(table, position) for position in range(table.num_columns)]
    names = table.schema.names
    return {
        # As text, which takes what it needs: orjson's bytes have a buffer of a kilobyte each.
        int(place): orjson.dumps(dict(zip(names, cells, strict=True)), default=shortened).decode()
        for place, cells in zip(rows.places[wanted], zip(*columns, strict=True), strict=True)
    }


def _cells(table: ArrowTable, position: int) -> list[Any]:
    """As the output would have them in JSON lines; gaps where a type has no text, which an output of another format
    does not need."""
    with suppress(ScoringError):
        return json_column(table.column(position), table.schema.field(position))
    return [None] * table.num_rows
