"""Models under MLflow's names: `mlflow.sklearn`, `mlflow.onnx`, `mlflow.pyfunc`, and signatures.

Packages are Penstock's, which MLflow loads, too. What a package needs of Penstock is imported when it is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penstock import fluent
from penstock.errors import DependencyMissing

# Arguments of MLflow's that say what a package of Penstock's says by itself, or that mean nothing where it is made.
_NOT_NEEDED = frozenset(
    {"await_registration_for", "conda_env", "disable_for_unsupported_versions", "log_traces", "pip_requirements"}
)
_RENAMED = {
    "code_paths": "code",
    "extra_pip_requirements": "requirements",
    "pyfunc_predict_fn": "predict_fn",
    "serialization_format": "serialization",
}
_TRUSTS_CODE = "PENSTOCK_TRUST_CODE"


def log_sklearn(
    sk_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    registered_model_name: str | None = None,
    **options: Any,
) -> fluent.ModelInfo:
    """`mlflow.sklearn.log_model`."""
    return fluent.log_model(
        sk_model,
        name or artifact_path or "model",
        registered_model_name=registered_model_name,
        **_options(options, "params", "tags", "model_type", "step", "input_example"),
    )


def save_sklearn(sk_model: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """`mlflow.sklearn.save_model`."""
    example = options.pop("input_example", None)
    _penstock("package.save").save_model(sk_model, Path(path), example=example, **_options(options))


def load_sklearn(model_uri: str, dst_path: str | None = None) -> Any:
    """`mlflow.sklearn.load_model`: the estimator. Raises CodeNotTrusted for a pickle, unless PENSTOCK_TRUST_CODE=1."""
    return _loaded(model_uri, dst_path, flavor="sklearn").loaded.predictor.estimator


def log_onnx(onnx_model: Any, artifact_path: str | None = None, *, name: str | None = None, **options: Any) -> Any:
    """`mlflow.onnx.log_model`."""
    return log_sklearn(onnx_model, artifact_path, name=name, **options)


def save_onnx(onnx_model: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """`mlflow.onnx.save_model`."""
    save_sklearn(onnx_model, path, **options)


def load_model(model_uri: str, suppress_warnings: bool = False, dst_path: str | None = None) -> Any:
    """`mlflow.pyfunc.load_model`: what answers to `predict`. Raises CodeNotTrusted for a package that runs code of its
    own, unless PENSTOCK_TRUST_CODE=1."""
    return _loaded(model_uri, dst_path)


class ModelSignature:
    """MLflow's class of signatures: what `infer_signature` returns is Penstock's own."""

    def __new__(cls, inputs: Any = None, outputs: Any = None, params: Any = None) -> Any:
        raise DependencyMissing(
            "A ModelSignature of schemas needs MLflow.", hint="Use infer_signature, or install it: pip install mlflow"
        )


def infer_signature(model_input: Any = None, model_output: Any = None, params: Mapping[str, Any] | None = None) -> Any:
    """`mlflow.models.infer_signature`: of what a model takes, answers, and accepts as params."""
    payload = _penstock("package.save").example_payload
    answer = None if model_output is None else payload(model_output)
    return _penstock("signature").infer_signature(payload(model_input), answer, params)


def autolog(**options: Any) -> None:
    """`mlflow.autolog`: of scikit-learn, where it is installed and not among `exclude_flavors`."""
    excluded = options.pop("exclude_flavors", None) or ()
    if find_spec("sklearn") is not None and "sklearn" not in excluded:
        autolog_sklearn(**options)


def autolog_sklearn(**options: Any) -> None:
    """`mlflow.sklearn.autolog`."""
    fluent.autolog(**{name: value for name, value in options.items() if name not in _NOT_NEEDED})


def set_registry_uri(uri: str) -> None:
    """The registry is the tracking server's own. Raises DependencyMissing for another one."""
    if uri and str(uri) != fluent.get_tracking_uri():
        raise DependencyMissing(
            "A registry apart from the tracking server needs MLflow.", hint="Give the tracking server's URI to both."
        )


def _options(options: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    """MLflow's arguments in our words. What says nothing is left out."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if name in _NOT_NEEDED or value is None:
            continue
        value = _serialization(value) if name == "serialization_format" else value
        found[name if name in kept else _RENAMED.get(name, name)] = value
    return found


def _serialization(name: str) -> str:
    """MLflow's plain pickle is cloudpickle's here, which reads the same."""
    return {"pickle": "cloudpickle"}.get(name, name)


def _loaded(model_uri: str, dst_path: str | None, flavor: str | None = None) -> Any:
    local = model_uri if os.path.exists(model_uri) else fluent.download_artifacts(model_uri, dst_path=dst_path)
    trust_code = os.environ.get(_TRUSTS_CODE, "").strip().lower() in ("1", "true", "yes", "on")
    return _penstock("assembly.named_models").load_model(Path(local), trust_code=trust_code, flavor=flavor)


def _penstock(module: str) -> Any:
    """Raises DependencyMissing where the client alone is there."""
    try:
        return import_module(f"penstock.{module}")
    except ImportError as error:
        raise DependencyMissing(
            "Packaging and loading models needs the whole of Penstock.", hint="pip install penstock"
        ) from error
