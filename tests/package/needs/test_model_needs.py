"""What a package lists as its requirements: what its files need when they are unpickled, and what its code imports."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from package.packaging import FUNCTION, proven, source
from penstock.errors import PackagingFailed
from penstock.package import PackagedModel
from penstock.package.save import save_model

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]])

ENCODERS = """
import numpy as np


class Encoder:
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X) * 2

    def predict(self, X):
        return np.asarray(X).sum(axis=1)

    def get_params(self, deep=True):
        return {}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution of one module in a folder of its own on the path, as pip --target would."""
    made: list[str] = []

    def install(module: str, text: str, name: str, number: str = "2.6.1", needs: str = "", url: str = "") -> Path:
        place = tmp_path / f"site of {name}"
        info = place / f"{name.replace('-', '_')}-{number}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n" + (f"Requires-Dist: {needs}\n" if needs else "")
        )
        (info / "top_level.txt").write_text(f"{module}\n")
        if url:
            (info / "direct_url.json").write_text(f'{{"url": "{url}", "dir_info": {{"editable": true}}}}')
        folder = place if not url else Path(url.removeprefix("file://"))
        folder.mkdir(exist_ok=True)
        (folder / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(place)
        monkeypatch.syspath_prepend(folder)
        made.append(module)
        return folder

    yield install
    for module in made:
        sys.modules.pop(module, None)


def requirements(package: PackagedModel) -> list[str]:
    return (package.path / "requirements.txt").read_text().splitlines()


def test_an_estimator_of_another_library_is_pinned(tmp_path: Path, install: Install) -> None:
    install("category_things", ENCODERS, "category-encoding", "2.6.1+local")
    import category_things  # type: ignore[import-not-found]

    package = save_model(category_things.Encoder(), tmp_path / "m", example=X, flavor="sklearn")
    assert "category-encoding==2.6.1" in requirements(package)
    assert "  - category-encoding==2.6.1" in (package.path / "conda.yaml").read_text()
    assert proven(package) == [1.0, 1.0, 5.0, 4.0]


def test_what_a_functions_artifacts_need_is_pinned_though_it_is_imported_already(
    tmp_path: Path, install: Install
) -> None:
    install("category_things", ENCODERS, "category-encoding")
    import category_things

    (tmp_path / "model.bin").write_bytes(pickle.dumps(category_things.Encoder()))
    text = (
        "import pickle\nfrom pathlib import Path\nclass Model:\n    def load(self, context):\n"
        "        self.m = pickle.loads(Path(context.artifacts['m']).read_bytes())\n"
        "    def predict(self, inputs):\n        return self.m.predict(inputs)\n"
    )
    made = save_model(
        source(tmp_path, text),
        tmp_path / "m",
        example=X,
        artifacts={"m": tmp_path / "model.bin"},
        requirements=["scipy"],
    )
    assert requirements(made) == [
        f"PyYAML=={version('pyyaml')}",
        f"numpy=={version('numpy')}",
        f"pandas=={version('pandas')}",
        "category-encoding==2.6.1",
        "scipy",
    ]


@pytest.mark.parametrize("where", ["top", "predict", "branch"])
def test_what_a_function_imports_is_pinned_wherever_it_does(tmp_path: Path, install: Install, where: str) -> None:
    install("category_things", ENCODERS, "category-encoding")
    text = {
        "top": "import category_things\ndef predict(x):\n    return x\n",
        "predict": "def predict(x):\n    from category_things import Encoder\n    return x\n",
        "branch": "def predict(x):\n    if len(x) > 9:\n        import category_things.more\n    return x\n",
    }[where]
    assert "category-encoding==2.6.1" in requirements(save_model(source(tmp_path, text), tmp_path / "m", example=X))


@pytest.mark.parametrize("declared", [False, True])
def test_what_a_library_imports_later_is_pinned_unless_it_declares_it(
    tmp_path: Path, install: Install, declared: bool
) -> None:
    """As pandas its readers of Parquet: whoever installs the library alone has not got what it needs."""
    install("engine_of_tables", "ENGINE = 1\n", "table-engine", "0.3")
    text = "import sys\ndef read(x):\n    import engine_of_tables\n    return x\n"
    install("library_of_tables", text, "table-library", "1.0", needs="Table_Engine >=0.1" if declared else "")
    model = source(tmp_path, "import library_of_tables\ndef predict(x):\n    return library_of_tables.read(x)\n")
    found = requirements(save_model(model, tmp_path / "m", example=X))
    assert "table-library==1.0" in found
    assert ("table-engine==0.3" in found) is not declared


def test_a_requirement_that_is_given_replaces_the_one_that_was_found(tmp_path: Path) -> None:
    made = save_model(source(tmp_path, FUNCTION), tmp_path / "m", example=X, requirements=["NumPy>=2", "pandas"])
    assert requirements(made) == [f"PyYAML=={version('pyyaml')}", "NumPy>=2", "pandas"]


def test_what_is_for_types_or_scripts_alone_is_not_needed(tmp_path: Path) -> None:
    text = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import onnx\n\n\ndef predict(x):\n    return x\n\n\n"
        'if __name__ == "__main__":\n    import sklearn\n'
    )
    found = requirements(save_model(source(tmp_path, text), tmp_path / "m", example=X))
    assert [line.partition("==")[0] for line in found] == ["PyYAML", "numpy", "pandas"]


def test_the_requirements_of_an_estimator_are_few(tmp_path: Path, iris_estimator: Any, iris_frame: Any) -> None:
    made = save_model(iris_estimator, tmp_path / "m", example=iris_frame, serialization="cloudpickle")
    names = [line.partition("==")[0] for line in requirements(made)]
    assert names == ["scikit-learn", "numpy", "scipy", "pandas", "cloudpickle"]


def test_a_library_that_no_index_has_is_listed_with_a_word(
    tmp_path: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    folder = install("things_in_place", "X = 1\n", "in-place", "0.1", url=f"file://{tmp_path}/checkout")
    model = source(tmp_path, "import things_in_place\ndef predict(x):\n    return x\n")
    made = save_model(model, tmp_path / "m", example=X)
    assert "in-place==0.1" in requirements(made)
    assert f"in-place 0.1, which is installed here from {folder}" in caplog.text
    assert str(tmp_path) not in (made.path / "requirements.txt").read_text()
    caplog.clear()
    with_code = save_model(model, tmp_path / "n", example=X, code=[folder / "things_in_place.py"])
    assert not [line for line in requirements(with_code) if "place" in line]
    assert not caplog.text


def test_a_module_of_ones_own_is_refused_until_it_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parts_of_this.py").write_text(
        "import more_of_this\n\n\ndef double(x):\n    return more_of_this.BY * x\n"
    )
    (tmp_path / "more_of_this.py").write_text("BY = 2\n")
    model = source(tmp_path, "def predict(x):\n    import parts_of_this\n    return parts_of_this.double(x)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackagingFailed) as raised:
        save_model(model, tmp_path / "m", example=X)
    assert str(raised.value) == (
        "The model needs the modules 'more_of_this', 'parts_of_this', which are not installed: files of your own, "
        "'more_of_this.py', 'parts_of_this.py'. To take them along, give code=['more_of_this.py', 'parts_of_this.py']."
    )
    made = save_model(model, tmp_path / "m", example=X, code=["more_of_this.py", "parts_of_this.py"])
    assert proven(made) == (2 * X).tolist()
