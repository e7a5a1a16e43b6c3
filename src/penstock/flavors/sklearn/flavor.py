"""scikit-learn estimators, from skops files (data-only where every type is known) or from pickles (code-carrying).

Answers as MLflow's sklearn flavor does: `predict_fn` of the python_function flavor names the method. An estimator that
was fitted on a frame gets one only if it looks at column names or dtypes; the others get the block itself, which is
several times faster and gives the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import ArtifactInvalid, CodeNotTrusted, PackagingFailed, remedy
from penstock.flavors.frames import from_python, to_frame, to_python
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor, Written, inside, need
from penstock.flavors.sklearn.light_import import import_lightly
from penstock.flavors.sklearn.skops_reader import holds_usual_types, read_usual
from penstock.flavors.sklearn.tree_nodes import check_trees
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES, untrusted
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import Params, Payload, Table, clipped

SKOPS = "skops"
_SCHEMA = "schema.json"  # in a skops file
CLOUDPICKLE = "cloudpickle"
PREDICT_FUNCTIONS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")


class SklearnFlavor(Flavor):
    name = "sklearn"

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.flavors.get(self.name) or {}
        python = manifest.python_function or {}
        return str(settings.get("pickled_model") or python.get("model_path") or python.get("data") or "model.pkl")

    def libraries(self, manifest: Manifest) -> Mapping[str, str]:
        version = (manifest.flavors.get(self.name) or {}).get("sklearn_version")
        return {"scikit-learn": str(version)} if version else {}

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        file = self.artifact(manifest)
        path = inside(directory, file, "scikit-learn model")
        reasons = [CodeReason(f"{code}/", "holds Python modules")] if (code := _code_directory(manifest)) else []
        if not _is_skops(manifest, file):
            return [CodeReason(file, "is a pickle"), *reasons]
        types = [] if holds_usual_types(path) else untrusted(_skops_types(path))
        if types:
            reasons.append(CodeReason(file, f"holds types that nobody has reviewed: {', '.join(types)}"))
        return reasons

    def remedy(self, manifest: Manifest) -> str:
        pickled = not _is_skops(manifest, self.artifact(manifest))
        return "a scikit-learn pickle can become data-only by converting the package" if pickled else ""

    def load(self, context: LoadContext) -> SklearnPredictor:
        manifest = context.manifest
        file = self.artifact(manifest)
        path = inside(context.directory, file, "scikit-learn model")
        if context.trusted and (code := _code_directory(manifest)):
            from penstock.flavors.code_path import add_code_directory

            add_code_directory(inside(context.directory, code, "code directory"), context.digest)
        data_only = _is_skops(manifest, file)
        estimator = _load_skops(path, context.trusted) if data_only else _load_pickle(path, context.trusted)
        if data_only:
            check_trees(estimator)
        function = str((manifest.python_function or {}).get("predict_fn") or "predict")
        if function not in PREDICT_FUNCTIONS or not hasattr(estimator, function):
            raise ArtifactInvalid(f"{file} holds a {type(estimator).__name__}, which has no {function}().")
        return SklearnPredictor(estimator, function, cyclic=not data_only)

    @staticmethod
    def write(estimator: Any, directory: Path, *, serialization: str = SKOPS, predict_fn: str = "predict") -> Written:
        """Writes the estimator as model.skops or as model.pkl. Raises PackagingFailed."""
        need("sklearn", "sklearn", purpose="Packaging a scikit-learn model")
        import sklearn

        if serialization not in (SKOPS, CLOUDPICKLE):
            raise PackagingFailed(f"Estimators are stored as {SKOPS} or {CLOUDPICKLE}, not as {serialization!r}.")
        if predict_fn not in PREDICT_FUNCTIONS or not hasattr(estimator, predict_fn):
            raise PackagingFailed(f"A {type(estimator).__name__} has no {predict_fn}().")
        file = "model.skops" if serialization == SKOPS else "model.pkl"
        trusted: list[str] | None = None
        if serialization == SKOPS:
            trusted = _dump_skops(estimator, directory / file)
        else:
            _dump_pickle(estimator, directory / file)
        return Written(
            flavors={
                "sklearn": {
                    "pickled_model": file,
                    "sklearn_version": sklearn.__version__,
                    "serialization_format": serialization,
                    "skops_trusted_types": trusted,
                    "code": None,
                },
                PYTHON_FUNCTION: {"loader_module": "mlflow.sklearn", "model_path": file, "predict_fn": predict_fn},
            },
            requirements=_requirements(serialization),
            batchable=True,
        )


def _requirements(serialization: str) -> tuple[str, ...]:
    from importlib.metadata import version

    names = ["scikit-learn", "numpy", "scipy", "pandas", SKOPS if serialization == SKOPS else CLOUDPICKLE]
    return tuple(f"{name}=={version(name)}" for name in names)


def _code_directory(manifest: Manifest) -> str | None:
    code = (manifest.python_function or {}).get("code") or (manifest.flavors.get("sklearn") or {}).get("code")
    return str(code) if code else None


def _is_skops(manifest: Manifest, file: str) -> bool:
    """MLflow says how it serialized; files from before it did are pickles."""
    stated = (manifest.flavors.get("sklearn") or {}).get("serialization_format")
    return stated == SKOPS or (stated is None and file.endswith(".skops"))


def _skops_types(path: Path) -> list[str]:
    """The types in a skops file that skops itself does not trust. Reads the description alone, constructs nothing."""
    import_lightly()
    io = need("skops.io", "sklearn", purpose="A skops file")
    try:
        return list(io.get_untrusted_types(data=_without_arrays(path)))
    except Exception as error:  # a damaged archive fails in many ways
        raise ArtifactInvalid(f"{path.name} is damaged or not a skops file: {clipped(str(error), 200)}.") from error


def _without_arrays(path: Path) -> bytes:
    """A skops file with its description, and every array in it empty: skops would read hundreds of megabytes to list
    the types, none of which are in the arrays."""
    import zipfile

    made = BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(made, "w") as described:
        for name in dict.fromkeys(whole.namelist()):
            described.writestr(name, whole.read(name) if name == _SCHEMA else b"")
    return made.getvalue()


def _load_skops(path: Path, trusted: bool) -> Any:
    """skops checks the types as it loads; what it need not be imported for is checked before it is made."""
    import_lightly()
    if (found := _read_quietly(path)) is not None:
        return found
    types = _skops_types(path) if trusted else sorted(TRUSTED_TYPES)
    io = need("skops.io", "sklearn", purpose="A skops file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other scikit-learn versions are reported once, by the environment check
            return io.load(path, trusted=types)
    except need("skops.io.exceptions", "sklearn", purpose="A skops file").UntrustedTypesFoundException:
        unknown = ", ".join(untrusted(_skops_types(path)))
        raise CodeNotTrusted(f"{path.name} holds types that nobody has reviewed: {unknown}.") from None
    except Exception as error:
        raise ArtifactInvalid(
            f"{path.name} cannot be loaded: {type(error).__name__}: {clipped(str(error), 200)}."
        ) from error


def _read_quietly(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other scikit-learn versions are reported once, by the environment check
        return read_usual(path)


def _load_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise CodeNotTrusted(f"{path.name} is a pickle; loading it runs the code inside.")
    import_lightly()
    joblib = need("joblib", "sklearn", purpose="A pickled scikit-learn model")  # reads plain pickles too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return joblib.load(path)
    except ModuleNotFoundError as error:
        raise ArtifactInvalid(
            f"{path.name} needs the module {error.name!r}, which is not installed.",
            hint="Install it in the environment that serves the model.",
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() in a pickle must not end the server
        raise ArtifactInvalid(
            f"{path.name} is damaged or not a pickle: {type(error).__name__}: {clipped(str(error), 200)}."
        ) from error


def _dump_skops(estimator: Any, path: Path) -> list[str]:
    """Returns the types beyond skops' defaults, for the manifest. Raises PackagingFailed."""
    io = need("skops.io", "sklearn", purpose="Writing a skops file")
    try:
        io.dump(estimator, path)
    except Exception as error:
        raise PackagingFailed(
            f"skops cannot store this {type(estimator).__name__}: {clipped(str(error), 200)}.",
            hint="Package it as a pickle (format cloudpickle); serving it then needs trust_code.",
            remedy=remedy("pickle"),
        ) from error
    return _skops_types(path)


def read_estimator(path: Path) -> Any:
    """An estimator from the user's own .joblib, .pkl or .skops file; a pickle runs its code.

    Raises ArtifactInvalid, PackagingFailed.
    """
    if not path.is_file():
        raise PackagingFailed(f"There is no file {path}.")
    estimator = _load_skops(path, trusted=True) if path.suffix == ".skops" else _load_pickle(path, trusted=True)
    if not hasattr(estimator, "get_params"):
        raise PackagingFailed(f"{path} holds a {type(estimator).__name__}, not a scikit-learn estimator.")
    return estimator


def _dump_pickle(estimator: Any, path: Path) -> None:
    """Raises PackagingFailed."""
    cloudpickle = need("cloudpickle", "sklearn", purpose="Writing a pickle")
    try:
        path.write_bytes(cloudpickle.dumps(estimator))
    except OSError:
        raise
    except Exception as error:
        raise PackagingFailed(
            f"This {type(estimator).__name__} cannot be pickled: {clipped(str(error), 200)}."
        ) from error


class SklearnPredictor(Predictor):
    """One fitted estimator and the method that answers."""

    quick = True

    def __init__(self, estimator: Any, function: str, *, cyclic: bool = True) -> None:
        _use_one_thread(estimator)
        self.cyclic = cyclic
        self.estimator = estimator
        self._call = getattr(estimator, function)
        self._names = _fitted_names(estimator)
        self._reads_frames = _reads_frames(estimator)
        # We hand over blocks whose column order is checked already.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)

    def _predict(self, payload: Payload, params: Params) -> Payload:
        """MLflow's sklearn flavor takes params and makes no use of them; so does ours."""
        return from_python(self._call(self._input(payload)))

    def close(self) -> None:
        """Takes the estimator apart, tree by tree: to free hundreds in one go would hold the interpreter for as long as
        that takes. What was made last goes first, so that memory goes back to the system bit by bit too. Only
        scikit-learn's own objects: nobody else has those that a file brought."""
        parts = _parts(self.estimator)[::-1]
        self.estimator = self._call = None
        while parts:
            part = parts.pop()
            if type(part).__module__.startswith("sklearn.") and hasattr(part, "__dict__"):
                part.__dict__.clear()

    def _input(self, payload: Payload) -> Any:
        if not isinstance(payload, Table):
            return to_python(payload)
        block = payload.block
        plain = block is not None and block.dtype.kind in "fiub" and not self._reads_frames
        if plain and (self._names is None or self._names == payload.names):
            return block
        return to_frame(payload)


def _fitted_names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names)


def _parts(estimator: Any) -> list[Any]:
    """The estimator and every estimator in it, however deep: its parameters, and the fitted copies it made of them."""
    parts: dict[int, Any] = {}
    waiting = [estimator]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (list, tuple)):
            waiting += one
        elif isinstance(one, np.ndarray) and one.dtype == object:
            waiting += one.ravel().tolist()  # gradient boosting keeps its trees so
        elif isinstance(one, dict):
            waiting += one.values()
        elif (hasattr(one, "fit") or hasattr(one, "predict")) and not isinstance(one, type) and id(one) not in parts:
            parts[id(one)] = one
            waiting += getattr(one, "__dict__", {}).values()
    return list(parts.values())


def _reads_frames(estimator: Any) -> bool:
    """Whether column names or dtypes of a frame could change the answer: transformers by column, functions, output
    settings, categories by dtype, and any code that is not scikit-learn's."""
    for part in _parts(estimator):
        kind = type(part)
        if not kind.__module__.startswith("sklearn."):
            return True
        if kind.__name__ in ("ColumnTransformer", "FunctionTransformer", "TransformedTargetRegressor"):
            return True
        if getattr(part, "_sklearn_output_config", None) or getattr(part, "_preprocessor", None) is not None:
            return True
    return False


def _use_one_thread(estimator: Any) -> None:
    """Serving is parallel over requests; a pool of threads for each small batch only costs time."""
    for part in _parts(estimator):
        if getattr(part, "n_jobs", None) not in (None, 1):
            part.n_jobs = 1


def same_answers(one: Any, other: Any) -> bool:
    """Whether two raw predictions are equal: exactly for labels, to rounding for floats."""
    if isinstance(one, list) and isinstance(other, list):  # one array for each of several outputs
        return len(one) == len(other) and all(same_answers(a, b) for a, b in zip(one, other, strict=True))
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True))
    return bool(np.array_equal(a, b))
