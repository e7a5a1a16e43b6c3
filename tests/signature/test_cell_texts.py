"""Text with other delimiters than commas: every reader says which it has, and how it becomes what is read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import Table
from penstock.signature import Casting, Field, Scalar, conform
from penstock.signature.cell_texts import delimiter_told, wrong_delimiter
from penstock.wire.csv import decode_csv
from penstock.wire.mlflow.frames.enforcing import _check_missing

FIELDS = (Field("age", Scalar.DOUBLE), Field("fee", Scalar.DOUBLE))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id;age;fee", "separated by semicolons, and commas are expected: pandas.read_csv(FILE, sep=';').to_csv(OTHER"),
        ('id;"age";"fee"', "separated by semicolons"),
        ("id\tage", "separated by tabs, and commas are expected"),
        ("age|fee", "separated by vertical bars"),
    ],
)
def test_a_header_that_is_one_name_is_told(header: str, said: str) -> None:
    assert said in delimiter_told(["age", "fee"], ["other", header])


@pytest.mark.parametrize("header", ["id,age", "a;b", "age", "", 3])
def test_other_unknown_columns_are_not(header: object) -> None:
    assert delimiter_told(["age", "fee"], [header]) == ""


def test_signature_and_mlflows_frames_say_it() -> None:
    table = Table(("id;age;fee",), block=np.zeros((1, 1)))
    (violation,) = conform(table, FIELDS, Casting.TEXT).violations
    assert str(violation).startswith("missing columns: 'age', 'fee'; unknown columns: 'id;age;fee'. The text is separ")
    with pytest.raises(SchemaViolation, match="separated by semicolons"):
        _check_missing(pd.DataFrame({"id;age;fee": ["1;2;3"]}), FIELDS, one_at_least=True)


def test_rows_that_fall_apart_at_decimal_commas_say_it_too() -> None:
    with pytest.raises(MalformedInput, match="Row 0 of the CSV has 3 cells, but the header has 1") as refused:
        decode_csv(b"id;age;fee\n1;2,5;3,1\n", FIELDS)
    assert "separated by semicolons" in refused.value.hint
    assert wrong_delimiter("plain") == ""
