"""From a package to a predictor: every way in which that is refused, and what it says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from penstock.cli.remedies import hint_of
from penstock.errors import (
    ArtifactInvalid,
    CodeNotTrusted,
    EnvironmentMismatch,
    PackageNotFound,
    ProofFailed,
    SealBroken,
)
from penstock.flavors import Predictor
from penstock.loading import LoadOptions, load_path, load_version
from penstock.package import PackagedModel
from penstock.package.seal import write_seal
from penstock.payload import Tensors
from penstock.registry import ModelVersion

Copied = Callable[[Path], Path]


def flip(file: Path) -> None:
    """Changes one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def made_with(package: Path, version: str) -> Path:
    """Says that the model was made with another version of scikit-learn."""
    manifest = yaml.safe_load((package / "MLmodel").read_text())
    manifest["flavors"]["sklearn"]["sklearn_version"] = version
    (package / "MLmodel").write_text(yaml.safe_dump(manifest))
    write_seal(package)
    return package


def version_at(source: Path, digest: str | None) -> ModelVersion:
    return ModelVersion("m", "1", str(source), datetime.now(UTC), digest)


def test_a_package_is_loaded_and_proven(identity_onnx_package: Path) -> None:
    model = load_path(identity_onnx_package)
    assert model.proof.repeats
    assert model.digest == PackagedModel.open(identity_onnx_package).digest
    assert model.signature is not None
    rows = np.ones((2, 3), dtype=np.float32)
    answer = model.predictor.predict(Tensors.single(rows), {})
    assert isinstance(answer, Tensors)
    assert answer.mapping()["y"].tolist() == rows.tolist()
    model.close()


def test_an_absent_package_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(PackageNotFound):
        load_path(tmp_path / "missing")


@pytest.mark.parametrize("name", ["model.onnx", "expected_output.json", "requirements.txt"])
def test_a_flipped_bit_is_found_and_named(identity_onnx_package: Path, copied: Copied, name: str) -> None:
    package = copied(identity_onnx_package)
    flip(package / name)
    with pytest.raises(SealBroken, match=f"{name} has changed"):
        load_path(package)


def test_the_seal_is_checked_before_any_code_runs(python_package: Path, copied: Copied, tmp_path: Path) -> None:
    package = copied(python_package)
    (package / "model.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(SealBroken, match=r"model\.py has changed"):
        load_path(package, LoadOptions(trust_code=True))
    assert not (tmp_path / "ran").exists()


def test_another_digest_than_was_registered_is_refused(identity_onnx_package: Path, iris_onnx_package: Path) -> None:
    digest = PackagedModel.open(identity_onnx_package).digest
    assert load_version(version_at(identity_onnx_package, digest)).digest == digest
    assert load_version(version_at(identity_onnx_package, None)).digest == digest
    with pytest.raises(SealBroken, match=f"expected {digest[:12]}"):
        load_version(version_at(iris_onnx_package, digest))


def test_code_runs_only_where_it_is_trusted(python_package: Path) -> None:
    with pytest.raises(CodeNotTrusted, match=r"model\.py") as caught:
        load_path(python_package)
    assert "--trust-code" in hint_of(caught.value)
    assert load_path(python_package, LoadOptions(trust_code=True)).proof.repeats


def test_loading_leaves_a_package_as_it_is(python_package: Path) -> None:
    before = sorted(p.relative_to(python_package) for p in python_package.rglob("*"))
    load_path(python_package, LoadOptions(trust_code=True)).close()
    assert sorted(p.relative_to(python_package) for p in python_package.rglob("*")) == before
    PackagedModel.open(python_package).verify()


def test_another_version_of_the_library_is_a_warning_or_an_error(
    iris_package: Path, copied: Copied, caplog: pytest.LogCaptureFixture
) -> None:
    package = made_with(copied(iris_package), "0.9.1")
    assert load_path(package).proof.repeats
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "made with scikit-learn 0.9.1" in warning
    with pytest.raises(EnvironmentMismatch, match=r"scikit-learn 0\.9\.1"):
        load_path(package, LoadOptions(strict_env=True))


def test_the_same_minor_version_is_silent(iris_package: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_path(iris_package, LoadOptions(strict_env=True))
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_model_that_does_not_repeat_its_answer_is_refused_and_closed(
    identity_onnx_package: Path, copied: Copied, monkeypatch: Any
) -> None:
    closed: list[Predictor] = []
    monkeypatch.setattr(Predictor, "close", lambda self: closed.append(self))
    package = copied(identity_onnx_package)
    expected = package / "expected_output.json"
    expected.write_text(expected.read_text().replace("11.0", "12.0"))
    write_seal(package)
    with pytest.raises(ProofFailed, match=r"y\[3\]\[2\]"):
        load_path(package)
    assert len(closed) == 1, "what was loaded is released"


def test_warnings_of_the_proof_are_logged(
    identity_onnx_package: Path, copied: Copied, caplog: pytest.LogCaptureFixture
) -> None:
    package = copied(identity_onnx_package)
    (package / "serving_input_example.json").write_text('{"inputs": [["a", "b", "c"]]}')
    write_seal(package)
    model = load_path(package)
    assert model.proof.unjoined
    assert f"{package.name}: The package's example does not fit its signature" in caplog.text


def test_a_truncated_graph_is_an_invalid_artifact(iris_onnx_package: Path, copied: Copied) -> None:
    package = copied(iris_onnx_package)
    (package / "model.onnx").write_bytes((package / "model.onnx").read_bytes()[:100])
    write_seal(package)
    with pytest.raises(ArtifactInvalid, match=r"model\.onnx is damaged"):
        load_path(package)


def test_threads_reach_the_runtime(identity_onnx_package: Path) -> None:
    model = load_path(identity_onnx_package, LoadOptions(threads=1))
    session: Any = model.predictor._session  # type: ignore[attr-defined]
    assert session.get_session_options().intra_op_num_threads == 1
