"""Every hostile body there is, in one table: what a server must bear whatever it serves."""

from __future__ import annotations

from hostile.arrow_bodies import arrow_bodies
from hostile.arrow_forged import arrow_forged
from hostile.body import HostileBody
from hostile.csv_bodies import csv_bodies
from hostile.framings import accepts, framings
from hostile.json_tables import json_tables
from hostile.json_values import json_values
from hostile.packed_bodies import packed_bodies
from hostile.parquet_bodies import parquet_bodies

_MAKERS = (
    json_tables, json_values, csv_bodies, packed_bodies, arrow_bodies, arrow_forged, parquet_bodies, framings, accepts,
)  # fmt: skip

TABLE: tuple[HostileBody, ...] = tuple(hostile for make in _MAKERS for hostile in make())
KINDS: tuple[str, ...] = tuple(dict.fromkeys(hostile.kind for hostile in TABLE))
