"""Pickled scikit-learn packages made data-only."""

from __future__ import annotations

import shutil
from pathlib import Path

from penstock.errors import PackagingFailed
from penstock.flavors.sklearn import SklearnFlavor, SklearnPredictor
from penstock.manifest import PYTHON_FUNCTION
from penstock.package.directory import new_directory
from penstock.package.example import answers_differ, record_expected
from penstock.package.packaged import PackagedModel
from penstock.package.save import finish, load_written, own_metadata
from penstock.package.seal import list_files
from penstock.wire.answers import answer_value


def convert_to_skops(package: PackagedModel, path: str | Path) -> PackagedModel:
    """A data-only copy of a pickled scikit-learn package: its estimator as skops, all else as it was.

    Runs the pickle. Raises PackagingFailed where the answers to the example would differ, where there is no example
    to compare on, or where skops cannot store the estimator; PackageExists.
    """
    flavor = package.flavor()
    if not isinstance(flavor, SklearnFlavor):
        raise PackagingFailed(f"{package.path} is no scikit-learn package; only those can be converted.")
    if not package.code_reasons():
        raise PackagingFailed(f"{package.path} is data-only already.")
    example = package.example()
    if example is None:
        raise PackagingFailed(
            f"{package.path} has no example to compare answers on.", hint="Package it anew, with --example."
        )
    before = package.load(trust_code=True)
    assert isinstance(before, SklearnPredictor)
    python = dict(package.manifest.python_function or {})
    with new_directory(Path(path).absolute()) as directory:
        for name in list_files(package.path):
            if name != flavor.artifact(package.manifest):
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(package.path / name, directory / name)
        written = SklearnFlavor.write(before.estimator, directory, predict_fn=python.get("predict_fn") or "predict")
        content = dict(package.manifest.content)
        sklearn = {**content["flavors"].get("sklearn", {}), **written.flavors["sklearn"]}
        content["flavors"] = {**content["flavors"], "sklearn": sklearn}
        if python:
            content["flavors"][PYTHON_FUNCTION] = {**python, "model_path": sklearn["pickled_model"]}
        content["metadata"] = {
            **package.manifest.metadata,
            "penstock": {**package.manifest.penstock, **own_metadata(batchable=True)},
        }
        after = load_written(directory, content)
        if different := answers_differ(
            answer_value(before.predict(example.payload, example.params)),
            answer_value(after.predict(example.payload, example.params)),
        ):
            raise PackagingFailed(f"The converted model answers differently: {different}.")
        record_expected(directory, after.predict(example.payload, example.params))
        finish(directory, content)
    return PackagedModel.open(path)
