"""Making packages: artifact, signature, examples, environment and seal, written beside the target and renamed.

A package never half exists: whatever fails, the target is not there.
"""

from __future__ import annotations

import logging
import platform
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from penstock.errors import (
    AnswerUnserializable,
    CodeMissing,
    InputError,
    PackageInvalid,
    PackagingFailed,
    PenstockError,
    PredictError,
)
from penstock.flavors import Flavor, FlavorOptions, LoadContext, Predictor, Written, choose_flavor, flavor_for
from penstock.flavors.code_path import CODE, add_code_of, lent_code
from penstock.flavors.frames import from_caller
from penstock.flavors.missing_code import missing_code
from penstock.manifest import FILE_NAME, FORMAT, PYTHON_FUNCTION, Manifest
from penstock.package.advice import advised
from penstock.package.datetimes import checked_datetimes, with_datetimes
from penstock.package.directory import new_directory
from penstock.package.environment import merged, write_environment
from penstock.package.example import answers_differ, read_example, record_expected, write_example
from penstock.package.needs.import_record import recorded_imports
from penstock.package.needs.model_needs import absent_of_sources, lacks_code, needs_of
from penstock.package.needs.own_code import check_code, copy_code, copy_data
from penstock.package.needs.own_files import folders_near, own_place, with_imported
from penstock.package.options import flavor_options
from penstock.package.original import ExampleOfFile, Original
from penstock.package.packaged import PackagedModel
from penstock.package.row_count import count_rows, report
from penstock.package.seal import list_files, write_seal
from penstock.payload import Payload, Table, Tensors, Value, columns_named, kind_and_text, shortened
from penstock.signature import Casting, Field, Scalar, Signature, conform, infer_signature
from penstock.signature.gaps import with_pandas_gaps
from penstock.version import __version__
from penstock.wire.mlflow.answers import answer_value

EXAMPLE_ROWS = 20
# So many decide what the signature says of gaps: the first ones may have none.
_SHOWN_ROWS = 10_000

log = logging.getLogger("penstock.package")


def save_model(
    model: Any,
    path: str | Path,
    *,
    example: Any = None,
    params: Mapping[str, Any] | None = None,
    signature: Signature | None = None,
    datetimes: Sequence[str] | Mapping[str, str] = (),
    batchable: bool = False,
    requirements: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    flavor: str | None = None,
    code: str | Path | Sequence[str | Path] = (),
    overwrite: bool = False,
    **options: Any,
) -> PackagedModel:
    """Packages a model into the new directory `path` and returns it. With `overwrite` it replaces the one there.

    `model` is a fitted scikit-learn estimator, an ONNX model (an .onnx file, its bytes, an onnx.ModelProto), a
    Python file with a function or class (see `flavors/python/source_file.py`), or what the flavor of a plug-in
    accepts; `flavor` names one where several would do. `example` is what callers will send: a DataFrame, an array, a
    dict of arrays, a Table or Tensors; its first 20 rows are kept. From it (its first 10,000 rows) and the model's
    answers the signature is inferred, unless one is given, and the expected output recorded. `datetimes` names columns
    whose texts are dates, or maps them to what numbers count since 1970: `{"signed_up": "ms"}`. `batchable` says that
    rows of several callers may be predicted together, of models whose flavor cannot know. `code` are the files and
    folders of your own modules that the model refers to or imports, in the layout of MLflow's `code_paths`. What is
    installed is recorded as `requirements`, with those given.

    `options` are the flavor's own. scikit-learn has `serialization` ("skops", "cloudpickle", or "auto": skops where
    every type is known to be safe and the answers agree, else cloudpickle) and `predict_fn` (the method that answers,
    or "both" for labels and probabilities). Python files have `entry` (the function or class), `artifacts` (name ->
    file) and `config`. ONNX models have none.

    Raises PackageExists, PackagingFailed, ArtifactInvalid, DependencyMissing, FlavorUnknown, FlavorConflict.
    """
    _check_arguments(path, params, requirements, metadata)
    target = Path(path).absolute()
    shown, units = with_datetimes(None if example is None else example_payload(example), datetimes)
    model = _found(model)
    writer = flavor_for(model, flavor)
    how = flavor_options(writer, options)
    modules = _checked_code(code, writer)
    ask = partial(writer.answer_at_hand, model, options=how)
    original = _original(example, ask, brings_code=bool(modules)).with_columns(shown, checked_datetimes(datetimes))
    given = _Given(shown, dict(params or {}), signature, writer.row_by_row or batchable, original)
    near = folders_near(*([model] if isinstance(model, Path) else []), *modules.values())
    with new_directory(target, overwrite=overwrite) as directory:
        written = _write(writer, model, directory, how, given.example)
        content = _content(written, metadata, batchable, units)
        if modules:
            _take_along(modules, directory, content, writer.name)
        with _own_modules_offered(directory, near), advised(near, shown, given.params), recorded_imports() as seen:
            _examine(directory, content, given)
        needs = needs_of(directory, seen, near)
        needs.check(near)
        env = write_environment(directory, merged([*written.requirements, *needs.requirements()], requirements))
        if PYTHON_FUNCTION in content["flavors"]:
            content["flavors"][PYTHON_FUNCTION]["env"] = env
        finish(directory, content)
    return PackagedModel.open(target)


@dataclass(frozen=True, slots=True)
class _Given:
    """What the package is proven with: the rows that were shown, from which the signature follows where none is given.
    `row_by_row` is whether each row was promised an answer, `original` the model at hand with the rows as given."""

    shown: Payload | None
    params: dict[str, Any]
    signature: Signature | None
    row_by_row: bool
    original: Original

    @property
    def example(self) -> Payload | None:
        """The rows that are kept."""
        return None if self.shown is None else _first_rows(self.shown)


def _take_along(modules: Mapping[str, Path], directory: Path, content: Mapping[str, Any], flavor: str) -> None:
    """Copies modules into the package, and says so where MLflow does."""
    copy_code(modules, directory / CODE)
    if content["flavors"].get(PYTHON_FUNCTION, {}).get("source"):
        copy_data(modules, directory)
    for name in content["flavors"].keys() & {PYTHON_FUNCTION, flavor}:
        content["flavors"][name]["code"] = CODE


@contextmanager
def _own_modules_offered(directory: Path, near: Sequence[Path]) -> Iterator[None]:
    """Makes what is said of a module that is missing say which files near the model are that module. Raises
    PackagingFailed."""
    try:
        yield
    except PenstockError as error:
        cause = error if isinstance(error, CodeMissing) else _missing_behind(error)
        module = cause.remedy.names.get("module") if cause is not None and cause.remedy is not None else None
        if cause is None or module is None:
            raise
        own = absent_of_sources(directory, near)
        if (place := own_place(module, near)) is not None:
            own[module.partition(".")[0]] = place
        if own:
            raise lacks_code(with_imported(own, near)) from error
        raise cause from error


def _missing_behind(error: PenstockError) -> CodeMissing | None:
    """The module that a function asked for and did not find, where that is why the model failed."""
    while isinstance(error.__cause__, PenstockError):
        error = error.__cause__
    return None if error.__cause__ is None else missing_code(error.__cause__, "The model")


def _check_arguments(path: Any, params: Any, requirements: Any, metadata: Any) -> None:
    """Raises PackagingFailed."""
    if not isinstance(path, (str, PathLike)):
        raise PackagingFailed(f"path must be the package's new directory, not {shortened(path)}.")
    for name, value in (("params", params), ("metadata", metadata)):
        if value is not None and not isinstance(value, Mapping):
            raise PackagingFailed(f"{name} must be a mapping of names to values, not {shortened(value)}.")
    if not isinstance(requirements, Iterable) or isinstance(requirements, (str, bytes)):
        raise PackagingFailed(
            f"requirements must be a list, not {shortened(requirements)}.", hint='For example: ["pandas==2.2.3"]'
        )


def _write(writer: Flavor, model: Any, directory: Path, how: FlavorOptions, example: Payload | None) -> Written:
    try:
        return writer.write(model, directory, how, example)
    except (PenstockError, OSError):
        raise
    except Exception as error:  # a plug-in may have left its library's exceptions as they were
        raise PackagingFailed(
            f"The flavor {writer.name!r} cannot package the model: {kind_and_text(error)}."
        ) from error


def _found(model: Any) -> Any:
    """Names of files as the paths of files that exist. Raises PackagingFailed."""
    if not isinstance(model, (str, Path)):
        return model
    file = Path(model)
    if not file.exists():
        raise PackagingFailed(f"There is no file {file}.")
    return file


def example_payload(example: Any) -> Payload:
    """What a caller would send, as a payload. Raises PackagingFailed."""
    if isinstance(example, ExampleOfFile):
        example = example.payload
    payload = example if isinstance(example, (Table, Tensors, Value)) else from_caller(example)
    payload = with_pandas_gaps(payload, None)
    if isinstance(payload, Value) and isinstance(payload.value, (str, int, float, bool)):
        raise PackagingFailed("The example must contain rows: a frame, an array, a dict of arrays or a list.")
    if not isinstance(payload, Value) and not payload.rows:
        raise PackagingFailed("The example has no rows.")
    return payload


def _checked_code(code: str | Path | Sequence[str | Path], writer: Flavor) -> Mapping[str, Path]:
    """Raises PackagingFailed."""
    modules = check_code(code)
    if modules and not writer.takes_code:
        raise PackagingFailed(f"A package of the flavor {writer.name!r} imports no modules: code says nothing there.")
    return modules


def _original(example: Any, answers: Callable[[Any], Any], *, brings_code: bool) -> Original:
    """The example as whoever packages the model has it."""
    if isinstance(example, ExampleOfFile):
        return Original(example.read, answers, of_file=True, brings_code=brings_code)
    rows = example if hasattr(example, "iloc") or isinstance(example, (list, np.ndarray)) else None
    return Original(lambda: rows, answers, brings_code=brings_code)


def _first_rows(payload: Payload, rows: int = EXAMPLE_ROWS) -> Payload:
    return payload if isinstance(payload, Value) else payload.take(slice(0, rows))


def _content(
    written: Written, metadata: Mapping[str, Any] | None, batchable: bool, units: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest's content before signature and examples."""
    flavors = {name: dict(settings) for name, settings in written.flavors.items()}
    if PYTHON_FUNCTION in flavors:
        flavors[PYTHON_FUNCTION]["python_version"] = platform.python_version()
    stated = {"epoch_units": dict(units)} if units else {}
    return {
        "flavors": flavors,
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds"),
        "metadata": {**(metadata or {}), "penstock": own_metadata(batchable=written.batchable or batchable, **stated)},
    }


def own_metadata(**more: Any) -> dict[str, Any]:
    return {"format": FORMAT, "version": __version__, **more}


def load_written(directory: Path, content: Mapping[str, Any]) -> Predictor:
    """Loads what was just written, to see what it answers. The code inside is the packager's own."""
    manifest = Manifest(content)
    context = LoadContext(directory, manifest, uuid.uuid4().hex, trusted=True)
    flavor = choose_flavor(manifest)
    if flavor.takes_code:
        add_code_of(context, flavor.name)
    return flavor.load(context)


def _examine(directory: Path, content: dict[str, Any], given: _Given) -> None:
    """Proves that what was written loads, and answers the example where there is one."""
    if given.signature is not None:
        content["signature"] = given.signature.to_mlflow()
    own_source = content["flavors"].get(PYTHON_FUNCTION, {}).get("source")
    with lent_code(directory), _elsewhere() if own_source else nullcontext():
        predictor = load_written(directory, content)
        try:
            if given.example is not None:
                _describe(predictor, directory, content, given.example, given)
        except PredictError as error:
            apart = given.original.told_apart(given.shown)
            raise PackagingFailed(f"The model cannot answer the example. {error.message}{apart}") from error
        except (InputError, PackageInvalid) as error:
            raise PackagingFailed(f"The example cannot be used. {error.message}") from error
        except AnswerUnserializable as error:
            raise PackagingFailed(f"The model's answer to the example cannot be sent. {error.message}") from error
        finally:
            predictor.close()


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Another working directory, which is empty, as that of a server is to the model: a file that is found here alone
    would be missing there."""
    with TemporaryDirectory(prefix="penstock-") as place, chdir(place):
        yield


def _describe(predictor: Predictor, directory: Path, content: dict[str, Any], example: Payload, given: _Given) -> None:
    """Predicts the example twice; writes signature, example and expected output, or that the answers vary.

    What counts is the example as a caller will send it, so it is read back from the file as a request would be.
    """
    params, signature = given.params, given.signature
    payload = predictor.example_form(example)
    if signature is None:
        shown = payload if given.shown is None or payload is not example else _first_rows(given.shown, _SHOWN_ROWS)
        signature = infer_signature(shown, predictor.predict(payload, params), params)
        content["signature"] = signature.to_mlflow()
        _tell_whole_numbers(signature)
    conformed = conform(payload, signature.inputs, Casting.FRAME)
    if conformed.violations:
        raise PackagingFailed(f"The example does not fit the signature: {conformed.violations[0]}.")
    content["saved_input_example_info"] = write_example(directory, payload, params)
    sent = read_example(directory, Manifest(content))
    assert sent is not None
    if (counted := count_rows(predictor, sent.payload, sent.params)) is not None and not counted.fits:
        report(counted, promised=given.row_by_row)
        content["metadata"]["penstock"]["batchable"] = False
    if given.shown is not None and payload is example:
        given.original.check(predictor, given.shown, signature, sent.params)
    answer = predictor.predict(sent.payload, sent.params)
    again = predictor.predict(sent.payload, sent.params)
    if answers_differ(answer_value(answer), answer_value(again)):
        content["metadata"]["penstock"]["deterministic"] = False
    else:
        record_expected(directory, answer)


def _tell_whole_numbers(signature: Signature) -> None:
    """What it means that the example has columns of whole numbers without gaps."""
    fields = [field for field in signature.inputs or () if isinstance(field, Field)]
    whole = [f.name for f in fields if f.type in (Scalar.INTEGER, Scalar.LONG) and f.name is not None]
    if whole:
        log.warning(
            "In the example %s, and no gap: a request with a missing or a fractional value there is refused. If "
            "callers send such, make floats of it in the example: leave a cell empty, or write 1.0 for 1.",
            f"{columns_named(whole)} {'hold' if len(whole) > 1 else 'holds'} whole numbers",
        )


def finish(directory: Path, content: dict[str, Any]) -> None:
    size = sum((directory / name).stat().st_size for name in list_files(directory))
    content["model_size_bytes"] = size
    try:
        (directory / FILE_NAME).write_bytes(Manifest(content).dump())
    except PackageInvalid as error:
        raise PackagingFailed(error.message) from error
    write_seal(directory)
