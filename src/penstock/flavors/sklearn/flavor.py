"""scikit-learn estimators, from skops files (data-only where every type is known) or from pickles (code-carrying).

Answers as MLflow's sklearn flavor does: `predict_fn` of the python_function flavor names the method.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import getattr_static
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid, PackagingFailed, remedy
from penstock.flavors.code_path import CODE, add_code_of, code_directory, own_modules
from penstock.flavors.frames import to_frame, to_python
from penstock.flavors.interface import (
    INTERFACE_VERSION,
    CodeReason,
    Flavor,
    FlavorOptions,
    LoadContext,
    Written,
    inside,
    need,
    posix,
)
from penstock.flavors.pins import pins
from penstock.flavors.predictor import Predictor
from penstock.flavors.sklearn.answers import class_answers
from penstock.flavors.sklearn.answers.class_answers import BOTH, BY_CLASS, class_columns, class_names
from penstock.flavors.sklearn.array_checks import check_arrays
from penstock.flavors.sklearn.estimator_files import (
    dump_pickle,
    dump_skops,
    load_pickle,
    load_skops,
    read_estimator,
)
from penstock.flavors.sklearn.judgement import judge
from penstock.flavors.sklearn.light_import import import_lightly
from penstock.flavors.sklearn.pickle_types import foreign_types
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.flavors.sklearn.trusted_types import untrusted
from penstock.flavors.sklearn.writing.one_column import taking_one_column
from penstock.flavors.sklearn.writing.same_answers import same_answers
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import TEXT, Payload, Table, clipped, some

log = logging.getLogger("penstock.flavors")

AUTO = "auto"
SKOPS = "skops"
CLOUDPICKLE = "cloudpickle"
PREDICT_FUNCTIONS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")
# The loader of packages whose answers name their classes, as MLflow finds it in their code/.
CLASS_LOADER = "penstock_sklearn"
# Where most estimators are, with all that they import in turn.
_USUAL_MODULES = ("sklearn.pipeline", "sklearn.compose", "sklearn.impute", "sklearn.linear_model", "sklearn.ensemble")
_LOADING_NEEDS = ("scikit-learn", "numpy", "scipy", "pandas")
_FILES = {SKOPS: "model.skops", CLOUDPICKLE: "model.pkl"}


@dataclass(frozen=True, slots=True)
class SklearnOptions(FlavorOptions):
    """`serialization` is "skops", "cloudpickle", or "auto": skops where every type is known to be safe and the answers
    to the example agree, else cloudpickle. `predict_fn` is the method that answers, or "both" for labels and
    probabilities in one table. A classifier's probabilities are a table with a column for each class."""

    serialization: str = "auto"
    predict_fn: str = "predict"


class SklearnFlavor(Flavor):
    interface = INTERFACE_VERSION
    name = "sklearn"
    loader_modules = frozenset({"mlflow.sklearn", CLASS_LOADER})
    options_type = SklearnOptions
    distributions = ("joblib", "pandas", "scikit-learn", "skops")
    data_only_form = SKOPS
    row_by_row = True

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.flavors.get(self.name) or {}
        python = manifest.python_function or {}
        return posix(
            str(settings.get("pickled_model") or python.get("model_path") or python.get("data") or "model.pkl")
        )

    def preload(self) -> None:
        import_lightly()
        for module in _USUAL_MODULES:
            import_module(module)

    def libraries(self, manifest: Manifest) -> Mapping[str, str]:
        version = (manifest.flavors.get(self.name) or {}).get("sklearn_version")
        return {"scikit-learn": str(version)} if version else {}

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        file = self.artifact(manifest)
        path = inside(directory, file, "scikit-learn model")
        code = code_directory(manifest, self.name)
        modules = code is not None and (own_modules(directory / code) or not (directory / code).is_dir())
        reasons = [CodeReason(f"{code}/", "holds Python modules")] if modules else []
        if not _is_skops(manifest, file):
            return [CodeReason(file, "is a pickle"), *reasons]
        return [*(CodeReason(file, reason) for reason in judge(path).code), *reasons]

    def process_reasons(self, directory: Path, manifest: Manifest) -> list[str]:
        file = self.artifact(manifest)
        if not _is_skops(manifest, file):
            return [f"{file} is a pickle"]
        return list(judge(inside(directory, file, "scikit-learn model")).apart)

    def convertible(self, manifest: Manifest) -> str:
        return "" if _is_skops(manifest, self.artifact(manifest)) else "a scikit-learn pickle"

    def unconvertible(self, directory: Path, manifest: Manifest) -> str:
        types = foreign_types(inside(directory, self.artifact(manifest), "scikit-learn model"))
        return f"it holds {some(types)}" if types else ""

    def load(self, context: LoadContext) -> SklearnPredictor:
        manifest = context.manifest
        file = self.artifact(manifest)
        path = inside(context.directory, file, "scikit-learn model")
        add_code_of(context, self.name)
        data_only = _is_skops(manifest, file)
        estimator = load_skops(path, context.trusted) if data_only else load_pickle(path, context.trusted)
        if data_only:
            check_arrays(estimator)
        settings = manifest.python_function or {}
        function = str(settings.get("predict_fn") or "predict")
        by_class = settings.get("loader_module") == CLASS_LOADER
        if why := _why_not(estimator, function, by_class):
            raise ArtifactInvalid(f"{file} holds a {type(estimator).__name__}, {why}.")
        import sklearn

        return SklearnPredictor(
            estimator, function, cyclic=not data_only, by_class=by_class, version=sklearn.__version__
        )

    def accepts(self, model: Any) -> bool:
        return hasattr(model, "fit") and hasattr(model, "get_params") and not isinstance(model, type)

    def read(self, path: Path) -> Any:
        return read_estimator(path)

    def write(self, model: Any, directory: Path, options: SklearnOptions, example: Payload | None = None) -> Written:
        """Writes the estimator as model.skops or as model.pkl."""
        function = options.predict_fn
        method = _method(function)
        model = taking_one_column(model, method, example)
        by_class = function == BOTH or (function in BY_CLASS and class_names(model) is not None)
        _refuse_function(model, function, by_class)  # before anything is said of the file
        if options.serialization != AUTO:
            return _write(model, directory, options.serialization, function, by_class)
        try:
            written = _write(model, directory, SKOPS, function, by_class)
            code = judge(directory / _FILES[SKOPS]).code
            if not code and self._same_as_skops(model, directory, written, method, example):
                return written
            why = f"it {'; it '.join(code)}" if code else "it would answer the example otherwise as skops"
            if unreviewed := untrusted(written.flavors[self.name]["skops_trusted_types"]):
                why = f"it holds {some(unreviewed)}"
        except (PackagingFailed, ArtifactInvalid) as error:
            why = error.message.rstrip(".")
        log.warning("The model is stored as a pickle, which carries code: %s.", why)
        (directory / _FILES[SKOPS]).unlink(missing_ok=True)
        return _write(model, directory, CLOUDPICKLE, function, by_class)

    def _same_as_skops(
        self, estimator: Any, directory: Path, written: Written, function: str, example: Payload | None
    ) -> bool:
        """Whether the estimator that skops gives back answers the example as the one at hand does."""
        if example is None:
            return True
        loaded = self.load(LoadContext(directory, Manifest({"flavors": dict(written.flavors)}), trusted=True))
        given = to_python(example)
        try:
            before = getattr(estimator, function)(given)
        except Exception:
            return True  # the example is at fault, or the model, and not skops: both are reported later
        try:
            return same_answers(before, getattr(loaded.estimator, function)(given))
        except Exception:
            return False

    def answer_at_hand(self, model: Any, rows: Any, options: SklearnOptions) -> Any:
        function = options.predict_fn
        if function == BOTH or (function in BY_CLASS and class_names(model) is not None):
            return to_frame(Table.of(*class_columns(model, function, rows)))
        return getattr(model, function)(rows)

    def convert(self, loaded: Predictor, directory: Path, manifest: Manifest) -> Written:
        """A pickled estimator as skops, if all its types are reviewed; one that takes a list of texts alone, behind a
        step that hands it the texts of a table's column."""
        assert isinstance(loaded, SklearnPredictor)
        python = manifest.python_function
        function = str((python or {}).get("predict_fn") or "predict")
        texts = Table.of(["text"], [np.array(["a text", "another one"], dtype=TEXT)])
        estimator = taking_one_column(loaded.estimator, _method(function), texts)
        written = _write(estimator, directory, SKOPS, function, loaded.by_class)
        new = written.flavors[self.name]
        if reasons := judge(directory / _FILES[SKOPS]).code:
            raise PackagingFailed(f"The model's skops form is not data-only either: it {'; it '.join(reasons)}.")
        sections: dict[str, Mapping[str, Any]] = {self.name: {**manifest.flavors.get(self.name, {}), **new}}
        if python is not None:
            # Up to 1.9 MLflow named the pickle `data`, which would win over model_path.
            kept = {key: value for key, value in python.items() if key != "data"}
            sections[PYTHON_FUNCTION] = {**kept, **written.flavors[PYTHON_FUNCTION]}
        return replace(written, flavors=sections)


def _write(estimator: Any, directory: Path, serialization: str, function: str, by_class: bool) -> Written:
    need("sklearn", "sklearn", purpose="Packaging a scikit-learn model")
    import sklearn

    if serialization not in _FILES:
        raise PackagingFailed(f"Estimators are stored as {SKOPS} or {CLOUDPICKLE}, not as {serialization!r}.")
    _refuse_function(estimator, function, by_class)
    file = _FILES[serialization]
    trusted: list[str] | None = None
    if serialization == SKOPS:
        trusted = dump_skops(estimator, directory / file)
    else:
        dump_pickle(estimator, directory / file)
    loader = {"loader_module": "mlflow.sklearn"}
    if by_class:
        (directory / CODE).mkdir(exist_ok=True)
        copyfile(class_answers.__file__, directory / CODE / f"{CLASS_LOADER}.py")
        loader = {"loader_module": CLASS_LOADER, "code": CODE}
    return Written(
        flavors={
            "sklearn": {
                "pickled_model": file,
                "sklearn_version": sklearn.__version__,
                "serialization_format": serialization,
                "skops_trusted_types": trusted,
                "code": None,
            },
            PYTHON_FUNCTION: {**loader, "model_path": file, "predict_fn": function},
        },
        requirements=pins(*_LOADING_NEEDS, serialization, *(["PyYAML"] if by_class else [])),
        batchable=True,
    )


def _refuse_function(estimator: Any, function: str, by_class: bool) -> None:
    """Raises PackagingFailed for an estimator that cannot answer by this function."""
    if why := _why_not(estimator, function, by_class):
        raise PackagingFailed(
            f"The model is a {type(estimator).__name__}, {why}.",
            hint="Package a Python file whose predict(inputs) calls another method of the model.",
            remedy=remedy("python_file"),
        )


def _method(function: str) -> str:
    """The estimator's own method that an answer is made of."""
    return "predict_proba" if function == BOTH else function


def _why_not(estimator: Any, function: str, by_class: bool = False) -> str:
    """Why an estimator cannot answer by this function; empty where it can. One that has it may still refuse to give it:
    by its settings, or since it was made by another version of scikit-learn."""
    function = _method(function) if by_class else function
    if by_class and function in BY_CLASS and hasattr(estimator, function) and class_names(estimator) is None:
        return "which does not name the classes of one output"
    lacks = f"which has no {function}()"
    try:
        getattr(estimator, function)
        return "" if function in PREDICT_FUNCTIONS else lacks
    except AttributeError as error:
        if getattr_static(estimator, function, None) is None:
            return lacks
        return f"whose {function}() cannot be used: {clipped(text_of(error.__cause__ or error))}"


def _is_skops(manifest: Manifest, file: str) -> bool:
    """MLflow says how it serialized; files from before it did are pickles."""
    stated = (manifest.flavors.get("sklearn") or {}).get("serialization_format")
    return stated == SKOPS or (stated is None and file.endswith(".skops"))
