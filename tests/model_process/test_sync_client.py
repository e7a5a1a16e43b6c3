"""Predictors in processes of their own, for callers that wait."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from penstock.errors import CodeNotTrusted, ModelProcessLost, PredictError, ProofFailed, SealBroken
from penstock.loading import LoadedModel, LoadOptions
from penstock.machine.interpreters import own_interpreter
from penstock.model_process.client.sync_client import RemotePredictor, load_apart
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.package.seal import write_seal
from penstock.payload import Tensors

MODEL = """
import os
import threading


def predict(inputs, params):
    if inputs[0, 0] < 0:
        os._exit(7)
    if inputs[0, 0] == 13:
        raise ValueError("thirteen")
    return inputs[:, 0] * 0 + os.getpid()
"""


@pytest.fixture
def package(tmp_path: Path) -> PackagedModel:
    (tmp_path / "model.py").write_text(MODEL)
    made = save_model(tmp_path / "model.py", tmp_path / "model", example=np.ones((2, 2)))
    (made.path / "expected_output.json").unlink()  # another process has another number
    write_seal(made.path)
    return PackagedModel.open(made.path)


def load(package: PackagedModel) -> tuple[LoadedModel, RemotePredictor]:
    loaded = load_apart(package, LoadOptions(trust_code=True), own_interpreter())
    assert isinstance(loaded.predictor, RemotePredictor)
    return loaded, loaded.predictor


def rows(first: float) -> Tensors:
    return Tensors(None, (np.array([[first, 0.0]]),))


def process_of(predictor: RemotePredictor, first: float = 1.0) -> int:
    answer = predictor.predict(rows(first), None)
    assert isinstance(answer, Tensors)
    return int(answer.arrays[0][0])


def test_answers_come_from_another_process(package: PackagedModel) -> None:
    loaded, predictor = load(package)
    with pytest.raises(PredictError, match="thirteen"):
        process_of(predictor, 13)
    first = process_of(predictor)
    assert first != os.getpid()
    assert first == process_of(predictor)  # what the model raised cost nothing
    assert loaded.digest == package.digest
    assert predictor.apart
    loaded.close()
    with pytest.raises(ModelProcessLost):
        process_of(predictor)


def test_a_process_that_dies_is_followed_by_another(package: PackagedModel) -> None:
    loaded, predictor = load(package)
    before = process_of(predictor)
    with pytest.raises(ModelProcessLost, match="ended with code 7"):
        process_of(predictor, -1)
    assert process_of(predictor) != before
    assert repr(predictor) == "<RemotePredictor 1 processes>"
    loaded.close()


def test_several_threads_have_a_process_each(package: PackagedModel) -> None:
    loaded, predictor = load(package)
    together = threading.Barrier(2)

    def ask(number: int) -> set[int]:
        together.wait()
        return {process_of(predictor) for _ in range(20)}

    with ThreadPoolExecutor(2) as pool:
        seen = set.union(*pool.map(ask, range(2)))
    assert 1 <= len(seen) <= 2
    loaded.close()


def test_what_loading_refuses_is_refused(package: PackagedModel) -> None:
    with pytest.raises(CodeNotTrusted):
        load_apart(package, LoadOptions(), own_interpreter())
    (package.path / "expected_output.json").write_text('{"predictions": [1, 1]}')
    write_seal(package.path)
    with pytest.raises(ProofFailed):
        load_apart(PackagedModel.open(package.path), LoadOptions(trust_code=True), own_interpreter())


def test_every_process_proves_the_package_that_was_opened(package: PackagedModel) -> None:
    """A package that is replaced meanwhile is not the one whose answers were asked for."""
    loaded, predictor = load(package)
    (package.path / "model.py").write_text(MODEL + "\n")
    write_seal(package.path)
    with pytest.raises(ModelProcessLost):
        process_of(predictor, -1)
    with pytest.raises(SealBroken, match="is now another package"):
        process_of(predictor)
    loaded.close()
