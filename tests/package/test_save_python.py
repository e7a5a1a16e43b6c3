"""Python sources packaged with all they need, and failures that leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from package.packaging import FUNCTION, files, nothing_left, proven, source
from penstock.errors import PackageError
from penstock.package import PackagedModel
from penstock.package.save import save_model

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]])
FRAME = pd.DataFrame(X, columns=["a", "b"])


def test_a_function_is_packaged_with_its_source_and_loader(tmp_path: Path) -> None:
    package = save_model(source(tmp_path, FUNCTION), tmp_path / "m", example=FRAME)
    assert files(package) >= {"model.py", "code/penstock_loader.py"}
    assert not package.manifest.batchable
    assert [r.file for r in package.code_reasons()] == ["model.py"]
    assert proven(package) == [{"0": 1.0}, {"0": 1.0}, {"0": 5.0}, {"0": 4.0}]


def test_a_class_is_packaged_with_artifacts_code_config_and_params(tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text("[2.0, 3.0]")
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / "words.txt").write_text("one\ntwo\n")
    (tmp_path / "scaling_of_my_model.py").write_text("def scale(x, by):\n    return x * by\n")
    helpers = tmp_path / "helpers_of_my_model"
    helpers.mkdir()
    (helpers / "__init__.py").write_text("from .inner import add\n")
    (helpers / "inner.py").write_text("def add(x, y):\n    return x + y\n")
    text = """
import json
from pathlib import Path

from helpers_of_my_model import add
from scaling_of_my_model import scale


class Scorer:
    def load(self, context):
        self.weights = json.loads(Path(context.artifacts["weights"]).read_text())
        self.words = (Path(context.artifacts["words"]) / "words.txt").read_text().split()
        self.by = context.model_config["by"]

    def predict(self, inputs, params):
        scores = add(scale(inputs.to_numpy() @ self.weights, self.by), params["offset"])
        return [{"score": float(s), "word": self.words[int(s) % 2]} for s in scores]
"""
    package = save_model(
        source(tmp_path, text),
        tmp_path / "m",
        example=FRAME,
        params={"offset": 1.0},
        entry="Scorer",
        artifacts={"weights": tmp_path / "weights.json", "words": tmp_path / "vocabulary"},
        code=[tmp_path / "scaling_of_my_model.py", helpers],
        config={"by": 10.0, "list": ["x"], "same": ["x"]},
        batchable=True,
    )
    assert files(package) >= {
        "artifacts/weights/weights.json",
        "artifacts/words/vocabulary/words.txt",
        "code/scaling_of_my_model.py",
        "code/helpers_of_my_model/inner.py",
    }
    assert package.manifest.batchable
    assert package.manifest.signature is not None
    assert [p.name for p in package.manifest.signature.params] == ["offset"]
    # Packaging ran the code from a directory that is gone; here, in the same process, it runs from the package.
    assert proven(package) == [
        {"score": 31.0, "word": "two"},
        {"score": 21.0, "word": "two"},
        {"score": 131.0, "word": "two"},
        {"score": 91.0, "word": "two"},
    ]
    assert not list(package.path.rglob("__pycache__"))
    place = Path(sys.modules["scaling_of_my_model"].__file__ or "")
    assert place.is_relative_to(package.path)


def test_the_package_needs_nothing_of_the_process_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "factor_of_mine.py").write_text("FACTOR = 3\n")
    text = (
        "from factor_of_mine import FACTOR\ndef predict(inputs):\n    return inputs.to_numpy().sum(axis=1) * FACTOR\n"
    )
    package = save_model(source(tmp_path, text), tmp_path / "m", example=FRAME, code=[tmp_path / "factor_of_mine.py"])
    script = (
        "from penstock.package import PackagedModel; from penstock.wire.mlflow.answers import answer_value\n"
        f"p = PackagedModel.open({str(package.path)!r}); e = p.example()\n"
        "print(answer_value(p.load(trust_code=True).predict(e.payload, e.params)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[3.0, 3.0, 15.0, 12.0]"
    package.verify()
    PackagedModel.open(package.path).verify()


def test_requirements_name_what_the_source_imports(tmp_path: Path) -> None:
    text = "import sklearn.linear_model\nfrom yaml import safe_load\nfrom . import nothing\n" + FUNCTION
    text = text.replace("from . import nothing\n", "")
    package = save_model(source(tmp_path, text), tmp_path / "m", example=FRAME, requirements=["left-pad==1.0"])
    pins = {line.split("==")[0].lower() for line in (package.path / "requirements.txt").read_text().splitlines()}
    assert pins >= {"scikit-learn", "pyyaml", "pandas", "numpy", "left-pad"}


@pytest.mark.parametrize(
    ("text", "how", "why"),
    [
        ("def predict(:\n", {}, "not valid Python"),
        (FUNCTION, {"entry": "score"}, "no callable named score"),
        ("x = 1\n", {}, "no callable named predict or Model"),
        ("import no_such_module_at_all\n" + FUNCTION, {}, "no_such_module_at_all"),
        ("raise SystemExit(3)\n", {}, "SystemExit"),
        ("def predict(inputs):\n    raise ValueError('bad rows')\n", {}, "ValueError.*bad rows"),
        ("import sys\ndef predict(inputs):\n    sys.exit(7)\n", {}, "SystemExit"),
        ("def predict(inputs):\n    return {1, 2}\n", {}, "cannot be sent.*builtins.set"),
        (FUNCTION, {"artifacts": {"not ok": "my_model.py"}}, "identifier"),
        (FUNCTION, {"artifacts": {"gone": "gone.bin"}}, "does not exist"),
        (FUNCTION, {"code": ["gone.py"]}, "does not exist"),
        (FUNCTION, {"code": ["broken.py"]}, "broken.py is not valid Python"),
        (FUNCTION, {"code": ["my_model.py", "my_model.py"]}, "Two files"),
        (FUNCTION, {"metadata": {"x": object()}}, "cannot be written as YAML"),
        (FUNCTION, {"config": {"x": Path("x")}}, "cannot be written as YAML"),
    ],
)
def test_a_model_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, how: dict[str, Any], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def (")
    model = source(tmp_path, text)
    before, modules = list(sys.path), set(sys.modules)
    with pytest.raises(PackageError, match=why):
        save_model(model, tmp_path / "m", example=FRAME, **how)
    assert nothing_left(tmp_path, but={"my_model.py", "broken.py"})
    assert sys.path == before
    assert not {m for m in set(sys.modules) - modules if m.startswith("penstock_model")}


def test_answers_that_vary_are_marked(tmp_path: Path) -> None:
    text = "import itertools\ncount = itertools.count()\ndef predict(inputs):\n    return [next(count)] * len(inputs)\n"
    package = save_model(source(tmp_path, text), tmp_path / "m", example=FRAME)
    assert not package.manifest.deterministic
    example = package.example()
    assert example is not None
    assert not example.has_expected


def test_the_recorded_answer_is_for_the_example_as_it_is_sent(tmp_path: Path) -> None:
    """A caller's JSON has no NaN and no text dtype: what the model sees when served is what is recorded."""
    text = "def predict(inputs):\n    return [str(t) for t in inputs.dtypes] + [int(inputs['s'].isna().sum())]\n"
    frame = pd.DataFrame({"f": np.array([1, 2], np.float32), "s": ["x", None]})
    package = save_model(source(tmp_path, text), tmp_path / "m", example=frame)
    assert proven(package)[-1] == 1
