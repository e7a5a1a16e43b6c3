"""Inputs and outputs in S3: against moto's server, through the same code as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from penstock.errors import Interrupted, ScoringError
from penstock.loading import LoadedModel
from penstock.scoring import Shard, finish
from scoring.jobs import score, stopped_after

fsspec = pytest.importorskip("fsspec")

SHAPING: dict[str, Any] = {"part_rows": 40, "chunk_rows": 16, "keep": ("id",)}


@pytest.fixture
def put(bucket: str, iris_frame: Any) -> Callable[[str, pd.DataFrame], None]:
    def write(name: str, frame: pd.DataFrame) -> None:
        with fsspec.open(f"{bucket}/{name}", "wb") as file:
            if name.endswith(".parquet"):
                frame.to_parquet(file, index=False, row_group_size=30)
            else:
                file.write(frame.to_csv(index=False).encode())

    return write


def objects(url: str) -> list[str]:
    return sorted(path.rsplit("/", 1)[-1] for path in fsspec.filesystem("s3", use_listings_cache=False).find(url))


def ids(url: str) -> list[int]:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    parts = [path for path in sorted(store.find(url)) if "part-" in path]
    return [int(i) for path in parts for i in pd.read_parquet(store.open(path))["id"]]


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_an_object_is_scored_to_another(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, bucket: str, put: Any, name: str
) -> None:
    put(name, iris_frame.assign(id=range(150)))
    score(iris, [f"{bucket}/{name}"], f"{bucket}/out/scored.csv", keep=("id",), chunk_rows=64)
    with fsspec.open(f"{bucket}/out/scored.csv") as file:
        scored = pd.read_csv(file)
    assert scored["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()
    assert scored["id"].tolist() == list(range(150))


def test_a_failure_uploads_nothing(iris: LoadedModel, iris_frame: Any, bucket: str, put: Any) -> None:
    put("rows.csv", iris_frame.astype(str).assign(sepal_width=["1"] * 149 + ["x"]))
    with pytest.raises(ScoringError, match="row 149"):
        score(iris, [f"{bucket}/rows.csv"], f"{bucket}/out.csv", chunk_rows=10)
    assert objects(bucket) == ["rows.csv"]


def test_a_directory_is_resumed_and_shared(iris: LoadedModel, iris_frame: Any, bucket: str, put: Any) -> None:
    put("in/a.csv", iris_frame.assign(id=range(150)))
    put("in/b.parquet", iris_frame.assign(id=range(150, 300)))
    put("in/_ignored.csv", iris_frame)
    words: dict[str, Any] = {"output_format": "parquet", **SHAPING}
    whole, shared = f"{bucket}/whole/", f"{bucket}/shared/"
    with pytest.raises(Interrupted):
        score(iris, [f"{bucket}/in/"], whole, stopped=stopped_after(7), **words)
    before = objects(whole)
    assert "_SUCCESS" not in before
    assert len(before) > 2

    score(iris, [f"{bucket}/in/"], whole, resume=True, **words)
    for index in (1, 0):
        score(iris, [f"{bucket}/in/*.*"], shared, shard=Shard(index, 2), **words)
    assert finish(shared).rows_out == 300

    assert ids(whole) == ids(shared) == list(range(300))
    assert objects(whole) == ["_SUCCESS", "_manifest.jsonl", *(n for n in objects(shared) if n.startswith("part-"))]
