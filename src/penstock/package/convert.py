"""Pickled scikit-learn packages made data-only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed
from penstock.flavors import Written
from penstock.flavors.sklearn.flavor import SklearnFlavor, SklearnPredictor
from penstock.flavors.sklearn.trusted_types import untrusted
from penstock.manifest import PYTHON_FUNCTION
from penstock.package.directory import new_directory
from penstock.package.environment import REQUIREMENTS, write_environment
from penstock.package.example import answers_differ, record_expected
from penstock.package.packaged import PackagedModel
from penstock.package.save import finish, load_written, own_metadata
from penstock.package.seal import list_files
from penstock.wire.mlflow.answers import answer_value


def convert_to_skops(package: PackagedModel, path: str | Path) -> PackagedModel:
    """A data-only copy of a pickled scikit-learn package: its estimator as skops, all else as it was.

    Runs the pickle. Raises PackagingFailed where the answers to the example would differ, where there is no example
    to compare on, or where skops cannot store the estimator or stores types that nobody has reviewed; PackageExists.
    """
    flavor = package.flavor()
    if not isinstance(flavor, SklearnFlavor):
        raise PackagingFailed(f"{package.path} is no scikit-learn package; only those can be converted.")
    if not package.code_reasons():
        raise PackagingFailed(f"{package.path} is data-only already.")
    example = package.example()
    if example is None:
        raise PackagingFailed(
            f"{package.path} has no example to compare answers on.", hint="Package it anew, with an example."
        )
    before = package.load(trust_code=True)
    assert isinstance(before, SklearnPredictor)
    predict_fn = str((package.manifest.python_function or {}).get("predict_fn") or "predict")
    with new_directory(Path(path).absolute()) as directory:
        content = _without_code(package)
        dropped = flavor.artifact(package.manifest)
        for name in list_files(package.path):
            if name != dropped and not name.startswith("code/"):
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(package.path / name, directory / name)
        written = SklearnFlavor.write(before.estimator, directory, predict_fn=predict_fn)
        if unknown := untrusted(written.flavors["sklearn"]["skops_trusted_types"]):
            raise PackagingFailed(
                f"The model holds types that nobody has reviewed, so as skops it is not data-only either: "
                f"{', '.join(unknown)}."
            )
        _describe_as_skops(content, written, package)
        _update_requirements(directory, written)
        after = load_written(directory, content)
        answer = after.predict(example.payload, example.params)
        if different := answers_differ(
            answer_value(before.predict(example.payload, example.params)), answer_value(answer)
        ):
            raise PackagingFailed(f"The converted model answers differently: {different}.")
        record_expected(directory, answer)
        finish(directory, content)
    return PackagedModel.open(path)


def _without_code(package: PackagedModel) -> dict[str, Any]:
    """The manifest's content without code directories: what skops can store needs none."""
    content = dict(package.manifest.content)
    content["flavors"] = {
        name: {key: value for key, value in settings.items() if key != "code"}
        for name, settings in package.manifest.flavors.items()
    }
    return content


def _describe_as_skops(content: dict[str, Any], written: Written, package: PackagedModel) -> None:
    flavors = content["flavors"]
    flavors["sklearn"] = {**flavors.get("sklearn", {}), **written.flavors["sklearn"]}
    if PYTHON_FUNCTION in flavors:
        # Up to 1.9 MLflow named the pickle `data`, which would win over model_path.
        kept = {key: value for key, value in flavors[PYTHON_FUNCTION].items() if key != "data"}
        flavors[PYTHON_FUNCTION] = {**kept, "model_path": written.flavors["sklearn"]["pickled_model"]}
    content["metadata"] = {
        **package.manifest.metadata,
        "penstock": {**package.manifest.penstock, **own_metadata(batchable=True)},
    }


def _update_requirements(directory: Path, written: Written) -> None:
    """The new artifact was written by the libraries installed here; what else the package asked for stays."""
    path = directory / REQUIREMENTS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    pinned = {line.partition("==")[0] for line in written.requirements}
    kept = [line for line in lines if line and line.partition("==")[0].strip() not in pinned]
    write_environment(directory, [*kept, *written.requirements])
