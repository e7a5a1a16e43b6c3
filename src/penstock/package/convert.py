"""Code-carrying packages made data-only, by the flavor that loads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed
from penstock.flavors import Written, get_flavor
from penstock.flavors.table import BUILT_IN
from penstock.manifest import Manifest
from penstock.package.directory import new_directory
from penstock.package.environment import read_requirement_lines, write_environment
from penstock.package.example import answers_differ, record_expected
from penstock.package.packaged import PackagedModel
from penstock.package.save import finish, load_written, own_metadata
from penstock.package.seal import list_files
from penstock.wire.mlflow.answers import answer_value


def convert_to_data_only(package: PackagedModel, path: str | Path, *, overwrite: bool = False) -> PackagedModel:
    """A data-only copy of a code-carrying package: its model in the flavor's data-only form, all else as it was.
    `overwrite` is as for `save_model`.

    Runs the package's code. Raises PackagingFailed where the flavor has no such form or cannot store the model in it,
    where the answers to the example would differ, or where there is no example to compare on; PackageExists.
    """
    flavor = package.flavor()
    if not package.code_reasons():
        raise PackagingFailed(f"{package.path} is already data-only.")
    if not flavor.data_only_form:
        raise PackagingFailed(
            f"{package.path} cannot be converted: the flavor {flavor.name!r} has no data-only form.",
            hint=_convertible(),
        )
    example = package.example()
    if example is None:
        raise PackagingFailed(
            f"{package.path} has no example to compare answers with.", hint="Package the model again, with an example."
        )
    before = package.load(trust_code=True)
    with new_directory(Path(path).absolute(), overwrite=overwrite) as directory:
        content = _without_code(package)
        _copy_files(package, directory, but=flavor.artifact(package.manifest))
        written = flavor.convert(before, directory, Manifest(content))
        content["flavors"] |= written.flavors
        content["metadata"] = {
            **package.manifest.metadata,
            "penstock": {**package.manifest.penstock, **own_metadata(batchable=written.batchable)},
        }
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


def _convertible() -> str:
    flavors = [get_flavor(entry.name) for entry in BUILT_IN]
    forms = [f"{flavor.name} ({flavor.data_only_form})" for flavor in flavors if flavor.data_only_form]
    return f"Flavors with a data-only form: {', '.join(forms)}."


def _copy_files(package: PackagedModel, directory: Path, *, but: str) -> None:
    """Everything but the artifact and the code, as it is."""
    for name in list_files(package.path):
        if name != but and not name.startswith(("code/", f"{but}/")):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.path / name, directory / name)


def _without_code(package: PackagedModel) -> dict[str, Any]:
    """The manifest's content without code directories: data needs none."""
    content = dict(package.manifest.content)
    content["flavors"] = {
        name: {key: value for key, value in settings.items() if key != "code"}
        for name, settings in package.manifest.flavors.items()
    }
    return content


def _update_requirements(directory: Path, written: Written) -> None:
    """The new artifact was written by the libraries installed here; what else the package asked for stays."""
    lines = read_requirement_lines(directory)
    pinned = {line.partition("==")[0] for line in written.requirements}
    kept = [line for line in lines if line and line.partition("==")[0].strip() not in pinned]
    write_environment(directory, [*kept, *written.requirements])
