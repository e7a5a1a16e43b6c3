"""Making packages: artifact, signature, examples, environment and seal, written beside the target and renamed.

A package never half exists: whatever fails, the target is not there.
"""

from __future__ import annotations

import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import penstock
from penstock.errors import (
    AnswerUnserializable,
    ArtifactInvalid,
    InputError,
    PackageInvalid,
    PackagingFailed,
    PredictError,
)
from penstock.flavors import LoadContext, Predictor, Written, choose_flavor
from penstock.flavors.code_path import lent_code
from penstock.flavors.frames import from_python, to_python
from penstock.flavors.onnx import OnnxFlavor, OnnxPredictor
from penstock.flavors.python.flavor import PyfuncFlavor
from penstock.flavors.sklearn.flavor import CLOUDPICKLE, SklearnFlavor, SklearnPredictor, same_answers
from penstock.flavors.sklearn.trusted_types import untrusted
from penstock.manifest import FILE_NAME, FORMAT, PYTHON_FUNCTION, Manifest
from penstock.package.directory import new_directory
from penstock.package.environment import write_environment
from penstock.package.example import answers_differ, read_example, record_expected, write_example
from penstock.package.packaged import PackagedModel
from penstock.package.seal import list_files, write_seal
from penstock.payload import Payload, Table, Tensors, Value
from penstock.signature import Casting, Signature, conform, infer_signature
from penstock.wire.mlflow.answers import answer_value

EXAMPLE_ROWS = 20


def save_model(
    model: Any,
    path: str | Path,
    *,
    example: Any = None,
    params: Mapping[str, Any] | None = None,
    signature: Signature | None = None,
    predict_fn: str = "predict",
    serialization: str = "auto",
    entry: str | None = None,
    artifacts: Mapping[str, str | Path] | None = None,
    code: Sequence[str | Path] = (),
    config: Mapping[str, Any] | None = None,
    batchable: bool = False,
    requirements: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> PackagedModel:
    """Packages a model into the new directory `path` and returns it.

    `model` is a fitted scikit-learn estimator, an ONNX model (an .onnx file, its bytes, an onnx.ModelProto), or a
    Python file with a function or class (see `flavors/python_loader.py`). `example` is what callers will send: a
    DataFrame, an array, a dict of arrays, a Table or Tensors; its first 20 rows are kept. From it and the model's
    answers the signature is inferred, unless one is given, and the expected output recorded.

    `serialization` is for scikit-learn: "skops", "cloudpickle", or "auto": skops where every type is known to be safe
    and the answers agree, else cloudpickle. `entry`, `artifacts` (name -> file), `code` (modules the file imports),
    `config` and `batchable` (rows of several callers may be predicted together) are for Python files.

    Raises PackageExists, PackagingFailed, ArtifactInvalid, DependencyMissing.
    """
    target = Path(path).absolute()
    payload = None if example is None else _first_rows(example_payload(example))
    writer = _writer(model, serialization, predict_fn, entry, artifacts, code, config, batchable, payload)
    with new_directory(target) as directory:
        written = writer(directory)
        content = _content(written, metadata, batchable)
        env = write_environment(directory, [*written.requirements, *requirements])
        if PYTHON_FUNCTION in content["flavors"]:
            content["flavors"][PYTHON_FUNCTION]["env"] = env
        _examine(directory, content, payload, dict(params or {}), signature)
        finish(directory, content)
    return PackagedModel.open(target)


def example_payload(example: Any) -> Payload:
    """What a caller would send, as a payload. Raises PackagingFailed."""
    payload = example if isinstance(example, (Table, Tensors, Value)) else from_python(example)
    if isinstance(payload, Value) and isinstance(payload.value, (str, int, float, bool)):
        raise PackagingFailed("The example must hold rows: a frame, an array, a dict of arrays or a list.")
    if not isinstance(payload, Value) and not payload.rows:
        raise PackagingFailed("The example holds no rows.")
    return payload


def _first_rows(payload: Payload) -> Payload:
    return payload if isinstance(payload, Value) else payload.take(slice(0, EXAMPLE_ROWS))


def _writer(
    model: Any,
    serialization: str,
    predict_fn: str,
    entry: str | None,
    artifacts: Mapping[str, str | Path] | None,
    code: Sequence[str | Path],
    config: Mapping[str, Any] | None,
    batchable: bool,
    example: Payload | None,
) -> Callable[[Path], Written]:
    """The flavor's writer for this kind of model. Raises PackagingFailed."""
    for_python = {"entry": entry, "artifacts": artifacts, "code": code, "config": config}
    unused = [name for name, given in for_python.items() if given]
    if unused and Path(model if isinstance(model, (str, Path)) else "").suffix != ".py":
        raise PackagingFailed(f"Only a model that is a Python file can have: {', '.join(unused)}.")
    if isinstance(model, (str, Path)):
        file = Path(model)
        if not file.is_file():
            raise PackagingFailed(f"There is no file {file}.")
        if file.suffix == ".py":
            places = {name: Path(place) for name, place in (artifacts or {}).items()}
            modules = tuple(Path(place) for place in code)
            return lambda directory: PyfuncFlavor.write(
                file, directory, entry=entry, artifacts=places, code=modules, config=config, batchable=batchable
            )
        return lambda directory: OnnxFlavor.write(file, directory)
    if isinstance(model, bytes) or hasattr(model, "SerializeToString"):
        return lambda directory: OnnxFlavor.write(model, directory)
    if hasattr(model, "fit") and hasattr(model, "get_params") and not isinstance(model, type):
        return lambda directory: _write_sklearn(model, directory, serialization, predict_fn, example)
    raise PackagingFailed(
        f"There is no flavor for a {type(model).__module__}.{type(model).__qualname__}.",
        hint="Give a fitted scikit-learn estimator, an ONNX model, or a Python file.",
    )


def _write_sklearn(
    estimator: Any, directory: Path, serialization: str, predict_fn: str, example: Payload | None
) -> Written:
    if serialization != "auto":
        return SklearnFlavor.write(estimator, directory, serialization=serialization, predict_fn=predict_fn)
    try:
        written = SklearnFlavor.write(estimator, directory, predict_fn=predict_fn)
        if not untrusted(written.flavors["sklearn"]["skops_trusted_types"]) and _same_after_skops(
            estimator, directory, written, predict_fn, example
        ):
            return written
    except (PackagingFailed, ArtifactInvalid):
        if not hasattr(estimator, predict_fn):
            raise
    (directory / "model.skops").unlink(missing_ok=True)
    return SklearnFlavor.write(estimator, directory, serialization=CLOUDPICKLE, predict_fn=predict_fn)


def _same_after_skops(
    estimator: Any, directory: Path, written: Written, predict_fn: str, example: Payload | None
) -> bool:
    if example is None:
        return True
    loaded = load_written(directory, {"flavors": dict(written.flavors)})
    assert isinstance(loaded, SklearnPredictor)
    given = to_python(example)
    try:
        before = getattr(estimator, predict_fn)(given)
    except Exception:
        return True  # the example is at fault, or the model, and not skops: both are reported later
    try:
        return same_answers(before, getattr(loaded.estimator, predict_fn)(given))
    except Exception:
        return False


def _content(written: Written, metadata: Mapping[str, Any] | None, batchable: bool) -> dict[str, Any]:
    """The manifest's content before signature and examples."""
    flavors = {name: dict(settings) for name, settings in written.flavors.items()}
    if PYTHON_FUNCTION in flavors:
        flavors[PYTHON_FUNCTION]["python_version"] = platform.python_version()
    return {
        "flavors": flavors,
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds"),
        "metadata": {**(metadata or {}), "penstock": own_metadata(batchable=written.batchable or batchable)},
    }


def own_metadata(**more: Any) -> dict[str, Any]:
    return {"format": FORMAT, "version": penstock.__version__, **more}


def load_written(directory: Path, content: Mapping[str, Any]) -> Predictor:
    """Loads what was just written, to see what it answers. The code inside is the packager's own."""
    manifest = Manifest(content)
    return choose_flavor(manifest).load(LoadContext(directory, manifest, uuid.uuid4().hex, trusted=True))


def _examine(
    directory: Path,
    content: dict[str, Any],
    payload: Payload | None,
    params: dict[str, Any],
    signature: Signature | None,
) -> None:
    """Proves that what was written loads, and answers the example where there is one."""
    if signature is not None:
        content["signature"] = signature.to_mlflow()
    with lent_code(directory):
        predictor = load_written(directory, content)
        try:
            if payload is not None:
                _describe(predictor, directory, content, payload, params, signature)
        except PredictError as error:
            raise PackagingFailed(f"The model cannot answer the example. {error.message}") from error
        except (InputError, PackageInvalid) as error:
            raise PackagingFailed(f"The example cannot be used. {error.message}") from error
        except AnswerUnserializable as error:
            raise PackagingFailed(f"The model's answer to the example cannot be sent. {error.message}") from error
        finally:
            predictor.close()


def _describe(
    predictor: Predictor,
    directory: Path,
    content: dict[str, Any],
    payload: Payload,
    params: dict[str, Any],
    signature: Signature | None,
) -> None:
    """Predicts the example twice; writes signature, example and expected output, or that the answers vary.

    What counts is the example as a caller will send it, so it is read back from the file as a request would be.
    """
    payload = _for_model(predictor, payload)
    if signature is None:
        signature = infer_signature(payload, predictor.predict(payload, params), params)
        content["signature"] = signature.to_mlflow()
    conformed = conform(payload, signature.inputs, Casting.FRAME)
    if conformed.violations:
        raise PackagingFailed(f"The example does not fit the signature: {conformed.violations[0]}.")
    content["saved_input_example_info"] = write_example(directory, payload, params)
    sent = read_example(directory, Manifest(content))
    assert sent is not None
    answer = predictor.predict(sent.payload, sent.params)
    again = predictor.predict(sent.payload, sent.params)
    if answers_differ(answer_value(answer), answer_value(again)):
        content["metadata"]["penstock"]["deterministic"] = False
    else:
        record_expected(directory, answer)


def _for_model(predictor: Predictor, payload: Payload) -> Payload:
    """The example in the form the model takes: an ONNX graph whose outputs make no table takes arrays, not columns."""
    if isinstance(predictor, OnnxPredictor) and isinstance(payload, Table):
        return predictor.example_form(payload)
    return payload


def finish(directory: Path, content: dict[str, Any]) -> None:
    size = sum((directory / name).stat().st_size for name in list_files(directory))
    content["model_size_bytes"] = size
    try:
        (directory / FILE_NAME).write_bytes(Manifest(content).dump())
    except PackageInvalid as error:
        raise PackagingFailed(error.message) from error
    write_seal(directory)
