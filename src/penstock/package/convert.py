"""Code-carrying packages made data-only, by the flavor that loads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed
from penstock.flavors import Flavor, Predictor, Written, get_flavor
from penstock.flavors.table import BUILT_IN
from penstock.manifest import Manifest
from penstock.package.directory import new_directory
from penstock.package.environment import read_requirement_lines, write_environment
from penstock.package.example import answers_differ, record_expected
from penstock.package.packaged import PackagedModel
from penstock.package.row_count import takes_list_alone, texts_as_table
from penstock.package.save import finish, load_written, own_metadata
from penstock.package.seal import list_files
from penstock.payload import Table, Value
from penstock.wire.mlflow.answers import answer_value


def convert_to_data_only(package: PackagedModel, path: str | Path, *, overwrite: bool = False) -> PackagedModel:
    """A data-only copy of a code-carrying package: its model in the flavor's data-only form, all else as it was; of one
    whose model takes a list of texts alone, a copy whose model takes tables, too. `overwrite` is as for `save_model`.

    Runs the package's code. Raises PackagingFailed where the flavor has no such form or cannot store the model in it,
    where the answers to the example would differ, or where there is no example to compare on; PackageExists.
    """
    flavor = package.flavor()
    before = None if package.code_reasons() else package.load(trust_code=True)
    if before is not None and not _misreads(flavor, before):
        raise PackagingFailed(f"{package.path} is already data-only.")
    if not flavor.data_only_form:
        raise PackagingFailed(
            f"{package.path} cannot be converted: the flavor {flavor.name!r} has no data-only form.",
            hint=_convertible(),
        )
    before = before or package.load(trust_code=True)
    example, misread = package.example(), _misreads(flavor, before)
    if example is None and not misread:
        raise PackagingFailed(
            f"{package.path} has no example to compare answers with.", hint="Package the model again, with an example."
        )
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
        rows = texts_as_table() if example is None or misread else example.payload
        given = Value(rows.column(0).tolist()) if misread and isinstance(rows, Table) else rows
        params = None if example is None else example.params
        wanted = answer_value(before.predict(given, params))
        if different := answers_differ(wanted, answer_value(after.predict(rows, params))):
            raise PackagingFailed(f"The converted model answers differently: {different}.")
        if example is not None:
            record_expected(directory, after.predict(example.payload, params))
        finish(directory, content)
    return PackagedModel.open(path)


def _misreads(flavor: Flavor, predictor: Predictor) -> bool:
    """Whether an estimator takes the names of a table's columns for its texts."""
    return flavor.row_by_row and takes_list_alone(predictor)


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
