"""An ONNX graph's answers, which follow MLflow's onnx flavor.

A table feeds a single graph input whole, several inputs column by column; a table in gives a table out with every
output flattened, arrays in give arrays out by output name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.error_text import text_of
from penstock.errors import PredictError
from penstock.flavors.predictor import Predictor
from penstock.payload import TEXT, Array, Params, Payload, Table, Tensors, as_object_array, clipped

# How onnxruntime says that memory has run out.
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxPredictor(Predictor):
    """Runs one session. onnxruntime sessions may be run from several threads. `control_flow` is whether the graph
    repeats or branches, so that a row may take any time."""

    takes_frames = False
    parallel = True
    cyclic = False

    def __init__(self, session: InferenceSession, *, control_flow: bool) -> None:
        from onnxruntime import RunOptions  # here, since it is heavy

        self._session = session
        self._options = RunOptions()
        self.quick = not control_flow
        self._inputs: dict[str, type[np.generic] | None] = {i.name: _DTYPES.get(i.type) for i in session.get_inputs()}
        self._outputs = [o.name for o in session.get_outputs()]

    def _run(self, feeds: dict[str, Array]) -> list[Any]:
        """Raises what onnxruntime raises, and MemoryError, for which onnxruntime has only words."""
        try:
            return self._session.run(self._outputs, feeds, self._options)  # type: ignore[no-any-return]
        except Exception as error:
            if any(words in text_of(error) for words in _NO_MEMORY):
                raise MemoryError("onnxruntime cannot allocate what the graph asks for") from error
            raise

    def interrupt(self) -> None:
        """onnxruntime looks at this between the nodes of a graph, and at every turn of a loop."""
        self._options.terminate = True

    def example_form(self, payload: Payload) -> Payload:
        """A table as callers should send it: in the graph's number type; as an array where the graph's outputs make
        no table with one value a row. Raises PredictError where the graph cannot take the table."""
        if not isinstance(payload, Table):
            return payload
        table = payload
        if len(self._inputs) == 1 and table.block is not None and table.block.dtype.kind in "iu":
            table = Table(table.names, block=table.block.astype(np.float64), index=table.index)
        try:
            results = [_as_array(r) for r in self._run(self._from_table(table))]
        except Exception as error:
            raise PredictError(f"The ONNX graph cannot take the rows: {clipped(text_of(error), 300)}.") from error
        if all(r.size == table.rows for r in results):
            return table
        feeds = self._from_table(table)
        return Tensors.named(feeds) if len(feeds) > 1 else Tensors.single(next(iter(feeds.values())))

    def _predict(self, payload: Payload, params: Params) -> Payload:
        if isinstance(payload, Table):
            results = self._run(self._from_table(payload))
            return self._as_table(results)
        if not isinstance(payload, Tensors):
            raise PredictError("An ONNX model takes columns or arrays, not a bare JSON value.")
        results = self._run(self._from_tensors(payload))
        return Tensors(tuple(self._outputs), tuple(_as_array(r) for r in results))

    def _from_table(self, table: Table) -> dict[str, Array]:
        if len(self._inputs) == 1:
            (name,) = self._inputs
            return {name: self._cast(name, table.block if table.block is not None else _values(table))}
        names = [str(n) for n in table.names or ()]
        if missing := [n for n in self._inputs if n not in names]:
            raise PredictError(f"The ONNX graph takes inputs that the columns do not name: {', '.join(missing)}.")
        return {name: self._cast(name, table.column(names.index(name))) for name in self._inputs}

    def _from_tensors(self, tensors: Tensors) -> dict[str, Array]:
        if tensors.names is not None:
            return {name: self._cast(name, array) for name, array in tensors.mapping().items()}
        if len(self._inputs) != 1:
            raise PredictError(f"The ONNX graph takes {len(self._inputs)} inputs by name: {', '.join(self._inputs)}.")
        (name,) = self._inputs
        return {name: self._cast(name, tensors.arrays[0])}

    def _cast(self, name: str, array: Array) -> Array:
        """MLflow narrows doubles for a float input and casts nothing else."""
        if array.dtype.kind == TEXT.kind:
            array = array.astype(object)
        if array.dtype == np.float64 and self._inputs.get(name) is np.float32:
            return array.astype(np.float32)
        if array.dtype == object and self._inputs.get(name) is np.object_ and not _all_present(array):
            # onnxruntime would feed the text "None".
            raise PredictError(f"The ONNX graph's input {name!r} is text and has no form for a missing one.")
        return array

    def _as_table(self, results: list[Any]) -> Table:
        columns = [_as_array(r).reshape(-1) for r in results]
        if len({len(c) for c in columns}) > 1:
            shapes = ", ".join(f"{n} {list(_as_array(r).shape)}" for n, r in zip(self._outputs, results, strict=True))
            raise PredictError(
                f"The ONNX graph's outputs do not make one table ({shapes}).",
                hint="Send the rows as arrays ('inputs'), or package the model with a tensor signature.",
            )
        return Table.of(self._outputs, columns)


def _values(table: Table) -> Array:
    """What DataFrame.values gives for columns of several dtypes: the common one of numbers, else objects."""
    columns = list(table.iter_columns())
    if not columns:
        return np.empty((table.rows, 0))
    if not all(c.dtype.kind in "iuf" for c in columns):
        columns = [c.astype(object) for c in columns]
    return np.stack(columns, axis=1)


def _all_present(array: Array) -> bool:
    return all(cell is not None and cell == cell for cell in array.flat)


def _as_array(result: Any) -> Array:
    """Graph outputs are arrays, or lists (of dicts, where a ZipMap ends the graph)."""
    return result if isinstance(result, np.ndarray) else as_object_array(result)
