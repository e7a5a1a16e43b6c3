"""A loaded model for use in Python: `penstock.load_model` returns it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from penstock.errors import Closing, MalformedInput, PredictError
from penstock.loading import LoadedModel
from penstock.loading.python_data import answer_in_kind, read_input
from penstock.manifest import Manifest
from penstock.package.likely_cause import likely_cause
from penstock.payload import shortened
from penstock.signature import Signature, conform_params, shown_schema, unknown_param, unknown_params


class LocalModel:
    """A model that is loaded, proven and ready to predict, in this process or in one of its own.

    `name` is what a gateway would serve it as, `version` its number in the registry, or the beginning of its digest.
    It may be used from several threads at once. Close it, or use it in a `with` statement: a model from a registry or
    an object store keeps its package in the cache for as long as it is open.

        with penstock.load_model("models:/fraud@champion") as model:
            scores = model.predict(frame)
    """

    def __init__(self, name: str, version: str, loaded: LoadedModel) -> None:
        self.name = name
        self.version = version
        self._loaded = loaded
        # The whole mutable state: whether it is closed.
        self._closed = False
        self._lock = threading.Lock()

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """The model's answer to `data`, in a container of the same kind.

        | `data` | answer |
        |---|---|
        | pandas.DataFrame (rows, columns) or Series (rows,) | what MLflow's `pyfunc.predict` returns for this model: an array (rows,) or (rows, outputs), or a DataFrame with the row labels of `data` |
        | numpy.ndarray (rows, …) or a dict of arrays (rows, …) | an array, or a dict of arrays by output name |
        | dict of lists: columns or tensors by name | the same |
        | list of dicts: one record a row | a list, one item a record |
        | one dict without lists: a single record | its answer alone |
        | Table, Tensors, Value | a Table, Tensors or Value |

        A model that takes something else than rows (chat messages, a type-hinted list) is given the plain values as
        they are, as a caller of `/invocations` would send them.

        `data` is put into the form that the signature asks for: columns in order, extra ones dropped, cells cast where
        nothing is lost. `params` are checked against the signature; those that are not given have their defaults.

        Raises SchemaViolation, which lists rows (from 0) and columns; MalformedInput for what no model takes;
        PredictError, with the model's own exception as its cause; Closing where the model is closed.

            >>> model.predict([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}], params={"offset": 1.0})
            [7.0, 15.0]
        """  # noqa: E501  (a table's row is one line)
        self._check_open()
        if params is not None and not isinstance(params, Mapping):
            raise MalformedInput(f"params must be a mapping of names to values, not {shortened(params)}.")
        given = read_input(data, self.signature, frames=self._loaded.takes_frames)
        wanted = params if given.params is None else {**given.params, **(params or {})}
        known = self.signature.params if self.signature is not None else ()
        for name in unknown_params(known, wanted):
            warnings.warn(unknown_param(known, name), stacklevel=2)
        checked = conform_params(known, wanted)
        try:
            answer = self._loaded.predictor.predict(given.payload, checked)
        except PredictError as error:
            error.hint = error.hint or likely_cause(
                given.payload, self.signature.inputs if self.signature is not None else None
            )
            raise
        return answer_in_kind(answer, given)

    @property
    def signature(self) -> Signature | None:
        """What the model takes, gives and accepts as params; None where its package does not say."""
        return self._loaded.signature

    @property
    def manifest(self) -> Manifest:
        """The package's MLmodel file."""
        return self._loaded.package.manifest

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was given as `metadata` when the model was packaged, with what Penstock added under `penstock`."""
        return self.manifest.metadata

    @property
    def digest(self) -> str:
        """The SHA-256 of the package's content, 64 hex digits: equal digests are equal packages."""
        return self._loaded.digest

    @property
    def flavor(self) -> str:
        """The name of the flavor that answers: onnx, sklearn, python_function or a plug-in's."""
        return self._loaded.flavor

    @property
    def loaded(self) -> LoadedModel:
        """What is below: the package, the predictor and what was proven at load."""
        return self._loaded

    def close(self) -> None:
        """Releases the model and lets its package go; may be called again."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            self._loaded.close()

    def _check_open(self) -> None:
        """Raises Closing."""
        if self._closed:
            raise Closing(f"The model {self.name} is closed.", hint="Load the model again.")

    def __enter__(self) -> LocalModel:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        inputs = None if self.signature is None else self.signature.inputs
        state = ", closed" if self._closed else ""
        return f"<LocalModel {self.name} version {self.version} ({self.flavor}{state}) takes {shown_schema(inputs)}>"
