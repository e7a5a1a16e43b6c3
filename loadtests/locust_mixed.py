"""Callers of one to 3000 rows side by side, as JSON, gzip, Arrow and Parquet; each must get exactly its own rows.

    locust -f loadtests/locust_mixed.py [--host http://127.0.0.1:8080] [-u 16] [-t 30s]

A host must serve the package adds-1 of loadtests/models.py as version 1 of `adds`, as the registry that models.py makes
with --register does.
"""

from __future__ import annotations

import gzip
import io
import json
import random

import pyarrow as pa
import standing
from answers import Rows, misfit, random_rows
from locust import FastHttpUser, constant_throughput, task
from pyarrow import ipc, parquet

standing.defaults(headless=True, num_users=16, spawn_rate=16, run_time="30s")
standing.serve(registry=True)
standing.judge(lambda environment: [])

ROWS = (1, 1, 1, 2, 8, 64, 500, 3000)


def as_json(rows: Rows) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"inputs": rows}).encode(), {"content-type": "application/json"}


def as_gzip(rows: Rows) -> tuple[bytes, dict[str, str]]:
    body, headers = as_json(rows)
    return gzip.compress(body, 1), {**headers, "content-encoding": "gzip"}


def as_arrow(rows: Rows) -> tuple[bytes, dict[str, str]]:
    table, place = _table(rows), io.BytesIO()
    with ipc.new_stream(place, table.schema) as writer:
        writer.write_table(table)
    return place.getvalue(), {"content-type": "application/vnd.apache.arrow.stream"}


def as_parquet(rows: Rows) -> tuple[bytes, dict[str, str]]:
    place = io.BytesIO()
    parquet.write_table(_table(rows), place)
    return place.getvalue(), {"content-type": "application/vnd.apache.parquet"}


def _table(rows: Rows) -> pa.Table:
    return pa.table(
        {"a": pa.array([r[0] for r in rows], pa.float32()), "b": pa.array([r[1] for r in rows], pa.float32())}
    )


FORMS = {"JSON": as_json, "gzip": as_gzip, "Arrow": as_arrow, "Parquet": as_parquet}


class Caller(FastHttpUser):
    wait_time = constant_throughput(10)

    @task
    def predict(self) -> None:
        form, rows = random.choice(list(FORMS)), random_rows(random.choice(ROWS))
        body, headers = FORMS[form](rows)
        path, name = "/models/adds/invocations", f"{form}, {len(rows)} rows"
        headers["accept"] = "application/json"
        with self.client.post(path, data=body, headers=headers, name=name, catch_response=True) as answer:
            if answer.status_code == 200 and (wrong := misfit(rows, answer.headers["x-model-version"], answer.json())):
                answer.failure(wrong)
