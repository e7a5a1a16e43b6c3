"""Columns of an example that the packager says are dates, and what numbers in them count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from package.packaging import proven, source
from penstock.errors import PackagingFailed
from penstock.manifest import Manifest
from penstock.package.save import save_model
from penstock.signature import Field, Scalar

YEARS = "def predict(inputs, params=None):\n    return inputs['ts'].dt.year.tolist()\n"
TEXTS = pd.DataFrame({"ts": ["2024-01-31T12:00:00Z", "2025-02-01"], "n": [1.0, 2.0]})
MILLIS = pd.DataFrame({"ts": [1706702400000, 1738368000000], "n": [1.0, 2.0]})


def test_texts_of_an_example_are_dates_where_the_packager_says_so(tmp_path: Path) -> None:
    package = save_model(source(tmp_path, YEARS), tmp_path / "m", example=TEXTS, datetimes=["ts"])
    signature = package.manifest.signature
    assert signature is not None
    assert signature.inputs == (Field("ts", Scalar.DATETIME), Field("n", Scalar.DOUBLE))
    assert proven(package) == [2024, 2025]


@pytest.mark.parametrize("example", [TEXTS, MILLIS], ids=["texts", "numbers"])
def test_a_stated_unit_is_part_of_the_package(tmp_path: Path, example: pd.DataFrame) -> None:
    package = save_model(source(tmp_path, YEARS), tmp_path / "m", example=example, datetimes={"ts": "ms"})
    signature = package.manifest.signature
    assert signature is not None
    assert signature.inputs == (Field("ts", Scalar.DATETIME, epoch="ms"), Field("n", Scalar.DOUBLE))
    assert package.manifest.penstock["epoch_units"] == {"ts": "ms"}
    assert proven(package) == [2024, 2025]


@pytest.mark.parametrize(
    ("datetimes", "told"),
    [
        (["when"], "has no column 'when' to read as datetimes; it has 'ts', 'n'"),
        ({"ts": "days"}, "The unit of numbers in column 'ts' is 'days'; it must be one of s, ms, us, ns."),
        ("ts", "datetimes must be names of columns"),
        (["n"], "row 0, column 'n': 1.0 is a number, and no unit is stated"),
    ],
)
def test_what_cannot_be_dates_is_refused(tmp_path: Path, datetimes: Any, told: str) -> None:
    with pytest.raises(PackagingFailed) as refused:
        save_model(source(tmp_path, YEARS), tmp_path / "m", example=TEXTS, datetimes=datetimes)
    assert told in str(refused.value)
    assert not (tmp_path / "m").exists()


def test_mlflows_packages_may_state_units_in_their_metadata() -> None:
    inputs = '[{"type": "datetime", "name": "ts", "required": true}]'
    content = {"flavors": {}, "mlflow_version": "3.18.0", "signature": {"inputs": inputs}}
    stated = Manifest({**content, "metadata": {"penstock": {"epoch_units": {"ts": "s"}}}})
    assert stated.signature is not None
    assert stated.signature.inputs == (Field("ts", Scalar.DATETIME, epoch="s"),)
    assert stated.written_by == "MLflow 3.18.0"
