"""Requests that Hypothesis makes from a signature with a fixed seed: what nobody thought of."""

from __future__ import annotations

import base64
import datetime as dt
import zlib
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from contract.cells import ODD
from contract.corpus import Subject
from contract.corpus_tables import ENVELOPES, csv_text, enveloped
from contract.corpus_tensors import tensor
from contract.requests import CSV, Request, post, request

HOW_MANY = 12
_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)

_CELLS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": _WORDS,
    "binary": st.binary(max_size=6).map(lambda b: base64.b64encode(b).decode()),
    "datetime": st.datetimes(min_value=dt.datetime(1700, 1, 1), max_value=dt.datetime(2200, 1, 1)).map(
        lambda d: d.isoformat()
    ),
    "any": st.one_of(st.none(), st.integers(-9, 9), _WORDS, st.lists(st.integers(-9, 9), max_size=3)),
}
_ODD = st.sampled_from([None, *ODD.values()])


def cases(about: Subject) -> list[Request]:
    """The same requests on every run: nothing is kept between runs, and the seed comes from the package's name."""
    drawn: list[Request] = []
    strategy = _tensor_request(about) if about.is_tensor else _table_request(about)

    @seed(zlib.crc32(about.name.encode()))
    @settings(
        max_examples=HOW_MANY, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def draw(made: Any) -> None:
        drawn.append(made)

    draw()
    return [{**made, "kind": "generated", "case": f"{i:02} {made['kind']}"} for i, made in enumerate(drawn)]


def _cell(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind = spec["type"]
    if kind == "array":
        return st.lists(_cell(spec["items"]), max_size=3)
    if kind == "map":
        return st.dictionaries(_WORDS, _cell(spec["values"]), max_size=3)
    if kind == "object":
        needed = {n: _cell(s) for n, s in spec["properties"].items() if s.get("required", True)}
        others = {n: _cell(s) for n, s in spec["properties"].items() if not s.get("required", True)}
        return st.fixed_dictionaries(needed, optional=others)
    return _CELLS[kind]


@st.composite
def _table_request(draw: st.DrawFn, about: Subject) -> Request:
    rows = draw(st.integers(1, 4))
    columns: dict[Any, list[Any]] = {}
    for i, field in enumerate(about.inputs or ()):
        if not field.get("required", True) and draw(st.integers(0, 2)) == 0:
            continue
        cells = draw(st.lists(_cell(field), min_size=rows, max_size=rows))
        if draw(st.integers(0, 9)) == 0:
            cells[draw(st.integers(0, rows - 1))] = draw(_ODD)
        columns[field.get("name", i)] = cells
    if draw(st.booleans()):
        columns = {name: columns[name] for name in draw(st.permutations(list(columns)))}
    kind = draw(st.sampled_from([*ENVELOPES, "csv"] if not about.is_unnamed else ["dataframe_split", "csv"]))
    if kind == "csv":
        return request("csv", "", csv_text(columns), CSV)
    return post(kind, "", enveloped(kind, columns))


@st.composite
def _tensor_request(draw: st.DrawFn, about: Subject) -> Request:
    rows = draw(st.integers(1, 3))
    odd = draw(st.integers(0, 5)) == 0
    arrays = {str(f.get("name", i)): _drawn(draw, tensor(f, rows), odd) for i, f in enumerate(about.inputs or ())}
    kind = draw(st.sampled_from(["inputs", "instances"]))
    if about.is_unnamed:
        return post(kind, "", {kind: arrays["0"]})
    if kind == "instances" and draw(st.booleans()):
        return post(kind, "", {kind: [{n: a[i] for n, a in arrays.items()} for i in range(rows)]})
    return post(kind, "", {kind: arrays})


def _drawn(draw: st.DrawFn, nested: Any, odd: bool) -> Any:
    """The same shape with other items of the same kind."""
    if isinstance(nested, list):
        return [_drawn(draw, item, odd) for item in nested]
    if odd and draw(st.integers(0, 3)) == 0:
        return draw(_ODD)
    if isinstance(nested, bool) or nested is None:
        return nested
    if isinstance(nested, int):
        return draw(st.integers(0, 120))
    if isinstance(nested, float):
        return draw(st.floats(-1e4, 1e4, width=16))
    return draw(_WORDS)
