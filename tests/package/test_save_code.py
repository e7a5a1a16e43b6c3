"""Models whose functions and classes are in their author's own modules, packaged with them for every flavor."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from flavors.plug_in import installed
from package.packaging import files, nothing_left, proven
from penstock.errors import CodeConflict, CodeMissing, CodeNotTrusted, PackagingFailed
from penstock.flavors.code_path import lent_code
from penstock.loading import LoadOptions, load_path
from penstock.machine.started import process_started
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.payload import Table

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.5, 1.5]})

STEPS = """
from sklearn.base import BaseEstimator, TransformerMixin

from .words import by


def scaled(x):
    return x * by()


class Scaler(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return scaled(X)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path, with a package of steps that import relatively."""
    place = tmp_path / "home"
    write_steps(place, 2.0)
    monkeypatch.syspath_prepend(place)
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("steps_of_mine", "one_of_mine"):
            del sys.modules[name]


def write_steps(place: Path, by: float) -> Path:
    package = place / "steps_of_mine"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("from .steps import Scaler, scaled\n")
    (package / "steps.py").write_text(STEPS)
    (package / "words.py").write_text(f"def by():\n    return {by}\n")
    return package


def pipeline() -> Any:
    import steps_of_mine  # type: ignore[import-not-found]

    steps = (FunctionTransformer(steps_of_mine.scaled), steps_of_mine.Scaler(), LinearRegression())
    return make_pipeline(*steps).fit(FRAME, [1.0, 2.0, 4.0])


def loaded_alone(package: PackagedModel) -> Any:
    """What it answers in a process that has never seen the modules."""
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("steps_of_mine")}
    path, sys.path[:] = list(sys.path), [place for place in sys.path if not place.endswith("home")]
    try:
        with lent_code(package.path):
            return proven(package)
    finally:
        sys.path[:] = path
        sys.modules.update(aside)


def test_an_estimator_takes_its_modules_along_in_mlflows_layout(home: Path, tmp_path: Path) -> None:
    package = save_model(pipeline(), tmp_path / "m", example=FRAME, code=[home / "steps_of_mine"])
    assert {name for name in files(package) if name.startswith("code/")} == {
        "code/steps_of_mine/__init__.py",
        "code/steps_of_mine/steps.py",
        "code/steps_of_mine/words.py",
    }
    for flavor in ("python_function", "sklearn"):
        assert package.manifest.flavors[flavor]["code"] == "code"
    assert [str(reason) for reason in package.code_reasons()] == ["model.pkl is a pickle", "code/ holds Python modules"]
    with pytest.raises(CodeNotTrusted, match="code/ holds Python modules"):
        package.load()
    package.verify()
    assert np.allclose(loaded_alone(package), pipeline().predict(FRAME))


def test_an_estimator_without_its_modules_is_refused_and_nothing_is_left(home: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed) as raised:
        save_model(pipeline(), tmp_path / "m", example=FRAME)
    assert "the module 'steps_of_mine', which is not installed: a file of your own" in raised.value.message
    named = re.search(
        r"give code=\['(.*)'\]\.$", raised.value.hint
    )  # from the working directory on, where that is shorter
    assert named is not None
    assert Path(named[1]).resolve() == home / "steps_of_mine"
    assert nothing_left(tmp_path, but={"home"})


def test_functions_of_a_notebook_need_no_module(tmp_path: Path) -> None:
    """cloudpickle takes along what is defined in __main__, and what has no name to be found by."""
    made: dict[str, Any] = {"__name__": "__main__"}
    exec("def shifted(x):\n    return x + 1\n", made)
    model = make_pipeline(FunctionTransformer(made["shifted"]), LinearRegression()).fit(FRAME, [1.0, 2.0, 4.0])
    package = save_model(model, tmp_path / "m", example=FRAME)
    assert np.allclose(proven(package), model.predict(FRAME))


def test_what_is_packaged_is_tried_though_other_versions_of_it_are_imported(home: Path, tmp_path: Path) -> None:
    """As in a notebook, where a module was changed since it was imported."""
    model = pipeline()
    import steps_of_mine

    write_steps(home, 3.0)
    package = save_model(model, tmp_path / "m", example=FRAME, code=[home / "steps_of_mine"])
    assert sys.modules["steps_of_mine"] is steps_of_mine
    assert steps_of_mine.scaled(1.0) == 2.0
    assert not np.allclose(loaded_alone(package), model.predict(FRAME))


def test_two_versions_of_a_module_never_answer_in_one_process(home: Path, tmp_path: Path) -> None:
    one = save_model(pipeline(), tmp_path / "one", example=FRAME, code=[home / "steps_of_mine"])
    same = save_model(pipeline(), tmp_path / "same", example=FRAME, code=[home / "steps_of_mine"], metadata={"n": 2})
    for name in [name for name in sys.modules if name.startswith("steps_of_mine")]:
        del sys.modules[name]
    write_steps(home, 3.0)
    two = save_model(pipeline(), tmp_path / "two", example=FRAME, code=[home / "steps_of_mine"])
    for name in [name for name in sys.modules if name.startswith("steps_of_mine")]:
        del sys.modules[name]
    with lent_code(one.path):
        load_path(one.path, LoadOptions(trust_code=True))
        load_path(same.path, LoadOptions(trust_code=True))  # the very same files
        with pytest.raises(CodeConflict, match="has already loaded another module with that name"):
            load_path(two.path, LoadOptions(trust_code=True))


def test_a_model_is_loaded_where_it_was_trained(home: Path, tmp_path: Path) -> None:
    """The modules of the script are those of the package, so that nothing stands against it, unless they were edited
    since, as in a notebook: then nobody knows what this process has of them."""
    package = save_model(pipeline(), tmp_path / "made" / "m", example=FRAME, code=[home / "steps_of_mine"])
    for file in (home / "steps_of_mine").iterdir():
        if file.is_file():
            os.utime(file, (0, process_started() - 60))
    with lent_code(tmp_path / "made"):
        load_path(package.path, LoadOptions(trust_code=True)).close()
        assert sys.modules["steps_of_mine"].__file__ == str(home / "steps_of_mine" / "__init__.py")
    import steps_of_mine

    assert steps_of_mine.__file__ == str(home / "steps_of_mine" / "__init__.py")
    os.utime(home / "steps_of_mine" / "words.py")
    with (
        lent_code(tmp_path / "made"),
        pytest.raises(CodeConflict, match=r"from .*home/steps_of_mine, and may not be the same"),
    ):
        load_path(package.path, LoadOptions(trust_code=True))


def test_an_artifact_that_refers_to_its_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads here, where the script runs, and in no other program."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "doubled_here", lambda x: 2 * x, raising=False)
    (tmp_path / "f.pkl").write_bytes(b"c__main__\ndoubled_here\n.")
    (tmp_path / "model.py").write_text(
        "import pickle\nfrom pathlib import Path\n\n\nclass Model:\n    def load(self, context):\n"
        "        self.f = pickle.loads(Path(context.artifacts['f']).read_bytes())\n\n"
        "    def predict(self, inputs):\n        return self.f(inputs)\n"
    )
    with pytest.raises(PackagingFailed, match="the script or notebook that wrote them"):
        save_model(tmp_path / "model.py", tmp_path / "m", example=FRAME, artifacts={"f": tmp_path / "f.pkl"})
    monkeypatch.undo()
    with pytest.raises(CodeMissing, match="refers to 'doubled_here' of the script or notebook that wrote it"):
        save_model(tmp_path / "model.py", tmp_path / "m", example=FRAME, artifacts={"f": tmp_path / "f.pkl"})


def test_a_module_that_is_nowhere_is_named_with_both_remedies(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def predict(inputs):\n    import cv2\n    return inputs\n")
    with pytest.raises(CodeMissing, match="The model needs the module 'cv2', which is not installed") as raised:
        save_model(tmp_path / "model.py", tmp_path / "m", example=FRAME)
    assert raised.value.remedy is not None
    assert raised.value.remedy.names["library"] == "opencv-python-headless"


def test_a_plug_ins_package_takes_modules_along_and_then_carries_code(home: Path, tmp_path: Path) -> None:
    (home / "one_of_mine.py").write_text("BY = 5.0\n")
    with installed(tmp_path / "site"):
        from penstock_linear import LinearModel  # type: ignore[import-not-found]

        package = save_model(
            LinearModel(("a", "b"), (1.0, 1.0)), tmp_path / "m", example=FRAME, code=home / "one_of_mine.py"
        )
        assert [str(reason) for reason in package.code_reasons()] == ["code/ holds modules: one_of_mine.py"]
        with pytest.raises(CodeNotTrusted, match=r"code/ holds modules"):
            package.load()
        with lent_code(package.path):
            predictor = package.load(trust_code=True)
            import one_of_mine  # type: ignore[import-not-found]

            assert one_of_mine.__file__ == str(package.path / "code" / "one_of_mine.py")
        assert isinstance(predictor.predict(Table.of(("a", "b"), [np.ones(1), np.ones(1)]), None).rows, int)


def test_a_graph_imports_nothing(home: Path, tmp_path: Path, iris_onnx_package: Path) -> None:
    model = iris_onnx_package / "model.onnx"
    with pytest.raises(PackagingFailed, match="imports no modules"):
        save_model(model, tmp_path / "m", code=[home / "steps_of_mine"])


def test_a_pickle_of_the_package_is_what_cloudpickle_makes(home: Path, tmp_path: Path) -> None:
    """Classes of modules that come along are stored by name, so that a fix in the module counts."""
    package = save_model(pipeline(), tmp_path / "m", example=FRAME, code=[home / "steps_of_mine"])
    stored = (package.path / "model.pkl").read_bytes()
    assert b"steps_of_mine" in stored
    assert len(stored) < len(cloudpickle.dumps(pipeline())) + 100
