"""`penstock.testing.assert_package_works`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import penstock
from penstock import testing
from penstock.errors import CodeNotTrusted, ProofFailed, SealBroken
from penstock.manifest import FILE_NAME, Manifest

Copied = Callable[[Path], Path]


def without_seal(package: Path) -> Path:
    (package / "SHA256SUMS").unlink()
    return package


def test_a_sound_package_passes(iris_package: Path, iris_onnx_package: Path, python_package: Path) -> None:
    assert testing.assert_package_works(iris_package).unjoined == ""
    assert testing.assert_package_works(str(iris_onnx_package)).repeats
    assert testing.assert_package_works(python_package, trust_code=True).repeats
    with pytest.raises(CodeNotTrusted):
        testing.assert_package_works(python_package)


def test_a_changed_file_or_answer_fails(iris_package: Path, copied: Copied) -> None:
    package = copied(iris_package)
    expected = package / "expected_output.json"
    expected.write_text(expected.read_text().replace("0", "1", 1))
    with pytest.raises(SealBroken):
        testing.assert_package_works(package)
    with pytest.raises(ProofFailed, match="does not repeat"):
        testing.assert_package_works(without_seal(package))


@pytest.mark.parametrize(
    ("removed", "said"),
    [(["expected_output.json"], "no recorded answer"),
     (["input_example.json", "serving_input_example.json"], "has no example")],
)  # fmt: skip
def test_what_is_missing_is_named(iris_package: Path, copied: Copied, removed: list[str], said: str) -> None:
    package = without_seal(copied(iris_package))
    for name in removed:
        (package / name).unlink()
    with pytest.raises(AssertionError, match=said):
        testing.assert_package_works(package)


def test_the_answer_must_have_the_form_that_the_signature_names(iris_package: Path, copied: Copied) -> None:
    package = without_seal(copied(iris_package))
    content = dict(Manifest.read(package).content)
    wide = '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}}]'
    content["signature"] = {**content["signature"], "outputs": wide}
    (package / FILE_NAME).write_bytes(Manifest(content).dump())
    with pytest.raises(AssertionError, match="its answer to the example does not fit its signature"):
        testing.assert_package_works(package)


def test_an_answer_that_varies_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    source = tmp_path / "dice.py"
    source.write_text("from random import random\n\n\ndef predict(inputs, params):\n    return [random(), random()]\n")
    penstock.save_model(source, tmp_path / "dice", example=pd.DataFrame({"a": [1.0]}))
    assert not testing.assert_package_works(tmp_path / "dice", trust_code=True).repeats
