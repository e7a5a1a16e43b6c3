"""What the tests of packaging share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.package import PackagedModel, answers_differ
from penstock.wire.mlflow.answers import answer_value

FUNCTION = "def predict(inputs):\n    return inputs.sum(axis=1)\n"


def source(place: Path, text: str, name: str = "my_model.py") -> Path:
    path = place / name
    path.write_text(text)
    return path


def files(package: PackagedModel) -> set[str]:
    return {p.relative_to(package.path).as_posix() for p in package.path.rglob("*") if p.is_file()}


def proven(package: PackagedModel) -> Any:
    """Opened anew, verified, loaded, and found to repeat its recorded answer; the answer."""
    opened = PackagedModel.open(package.path)
    opened.verify()
    example = opened.example()
    assert example is not None
    assert example.has_expected
    answer = opened.load(trust_code=True).predict(example.payload, example.params)
    assert answers_differ(example.expected, {"predictions": answer_value(answer)}) == ""
    return answer_value(answer)


def nothing_left(place: Path, *, but: set[str] = frozenset()) -> bool:  # type: ignore[assignment]
    return {p.name for p in place.iterdir()} == set(but)
