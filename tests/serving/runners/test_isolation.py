"""Which packages run apart, and two versions whose modules have the same names."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from penstock.errors import CodeConflict, CodeNotTrusted, SealBroken
from penstock.flavors.code_path import lent_code
from penstock.loading import LoadedModel, LoadOptions
from penstock.loading.placement import IsolationMode
from penstock.machine.throttle import throttled
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.payload import Tensors
from penstock.serving.runners.isolation import IsolatedModel, Isolation, load_served, placement_of
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel

TRUST = LoadOptions(trust_code=True)


def test_code_runs_apart_unless_the_mode_says_otherwise(python_package: Path, iris_onnx_package: Path) -> None:
    code, data = PackagedModel.open(python_package), PackagedModel.open(iris_onnx_package)
    modes: tuple[IsolationMode, ...] = ("auto", "process", "none")
    assert [placement_of(code, TRUST, mode).apart for mode in modes] == [True, True, False]
    assert [placement_of(data, TRUST, mode).apart for mode in modes] == [False, True, False]


@pytest.mark.parametrize("mode", ["auto", "process", "none"])
def test_code_needs_trust_wherever_it_runs(python_package: Path, mode: str) -> None:
    with pytest.raises(CodeNotTrusted, match="set trust_code"):
        load_served(python_package, LoadOptions(), Isolation(mode=mode))  # type: ignore[arg-type]


def _package(place: Path, factor: int) -> Path:
    """A model whose answer comes from a module `rates` in its code/."""
    place.mkdir()
    (place / "rates.py").write_text(f"FACTOR = {factor}\n")
    (place / "model.py").write_text("import rates\n\ndef predict(inputs, params):\n    return inputs * rates.FACTOR\n")
    with lent_code(place):
        model = save_model(place / "model.py", place / "package", example=np.ones((2, 2)), code=[place / "rates.py"])
    return model.path


async def _answer(served: ServedModel) -> float:
    servable = served.find()
    with servable.lease():
        answer = await servable.predict(Tensors.single(np.ones((1, 2))), None)
    assert isinstance(answer.payload, Tensors)
    return float(answer.payload.arrays[0][0, 0])


async def test_versions_whose_modules_share_a_name_answer_by_their_own(tmp_path: Path) -> None:
    """Each answers by its own, right before, during and after the swap; the gateway imports neither."""
    one, two = _package(tmp_path / "one", 10), _package(tmp_path / "two", 20)
    metrics = Metrics(process=False)
    served = ServedModel("m", metrics)
    how = Isolation(slots=1)
    try:
        served.swap(Servable("m", "1", await asyncio.to_thread(load_served, one, TRUST, how), metrics))
        assert await _answer(served) == 10
        loading = asyncio.ensure_future(asyncio.to_thread(load_served, two, TRUST, how))
        while not loading.done():
            assert await _answer(served) == 10
        served.swap(Servable("m", "2", loading.result(), metrics))
        assert await _answer(served) == 20
        assert served.previous is not None
        found = await served.previous.predict(Tensors.single(np.ones((1, 2))), None)
        assert found.payload.arrays[0][0, 0] == 10  # type: ignore[union-attr]
        served.revert()
        assert await _answer(served) == 10
    finally:
        await served.close()
    assert "rates" not in sys.modules


def test_versions_whose_modules_share_a_name_are_refused_in_one_process(tmp_path: Path) -> None:
    one, two = _package(tmp_path / "one", 10), _package(tmp_path / "two", 20)
    here = Isolation(mode="none")
    with lent_code(one):
        first = load_served(one, TRUST, here)
        assert isinstance(first, LoadedModel)
        with pytest.raises(CodeConflict, match="rates"):
            load_served(two, TRUST, here)


def test_a_restart_takes_the_same_package_or_none(tmp_path: Path) -> None:
    package = _package(tmp_path / "one", 10)
    loaded = load_served(package, TRUST, Isolation(slots=1))
    assert isinstance(loaded, IsolatedModel)
    loaded.close()
    assert loaded.digest == PackagedModel.open(package).digest
    (package / "SHA256SUMS").unlink()
    (package / "note.txt").write_text("changed")
    with pytest.raises(SealBroken, match="now another package"):
        loaded.again(lambda process: None)


PACED = """
import sys

LOADED = float(sys.getprofile() is not None)

def predict(inputs, params):
    return inputs * 0 + 10 * LOADED + float(sys.getprofile() is not None)
"""


@pytest.mark.parametrize(("gentle", "answer"), [(True, 10.0), (False, 0.0)])
async def test_a_process_rests_while_it_loads_beside_others_and_never_while_it_answers(
    gentle: bool, answer: float, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(PACED)
    package = save_model(tmp_path / "model.py", tmp_path / "package", example=np.ones((2, 2)))
    (package.path / "expected_output.json").unlink(missing_ok=True)  # recorded where nothing rests
    (package.path / "SHA256SUMS").unlink()

    def load() -> LoadedModel | IsolatedModel:
        with throttled() if gentle else nullcontext():
            return load_served(package.path, TRUST, Isolation(mode="process"))

    metrics = Metrics(process=False)
    served = ServedModel("m", metrics)
    served.swap(Servable("m", "1", await asyncio.to_thread(load), metrics))
    assert await _answer(served) == answer
    await served.close()
