"""ONNX models, run by onnxruntime. Always data-only: a graph carries no code.

Inputs and outputs follow MLflow's onnx flavor: a table feeds a single graph input whole, several inputs column by
column; a table in gives a table out with every output flattened, arrays in give arrays out by output name.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import ArtifactInvalid, PackagingFailed, PredictError
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor, Written, inside, need
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import Array, Payload, Table, Tensors, as_object_array, shortened

_CPU = "CPUExecutionProvider"
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


class OnnxFlavor(Flavor):
    name = "onnx"

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.flavors.get(self.name) or manifest.python_function or {}
        return str(settings.get("data") or "model.onnx")

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        return []

    def load(self, context: LoadContext) -> OnnxPredictor:
        path = inside(context.directory, self.artifact(context.manifest), "ONNX model")
        settings = context.manifest.flavors.get(self.name) or {}
        return OnnxPredictor(open_session(path, settings, context.threads))

    @staticmethod
    def write(model: bytes | Path | Any, directory: Path) -> Written:
        """Writes model.onnx from a file, its bytes or an onnx.ModelProto. Raises PackagingFailed, ArtifactInvalid."""
        if isinstance(model, Path):
            content = model.read_bytes()
        elif isinstance(model, bytes):
            content = model
        elif hasattr(model, "SerializeToString"):
            content = model.SerializeToString()
        else:
            raise PackagingFailed(f"{shortened(model)} is no ONNX model: give a file, bytes or an onnx.ModelProto.")
        (directory / "model.onnx").write_bytes(content)
        if isinstance(model, Path):
            _copy_external_data(model, content, directory)
        runtime = need("onnxruntime", "onnx", purpose="Packaging an ONNX model")
        return Written(
            flavors={
                "onnx": {"data": "model.onnx", "providers": [_CPU], "onnx_version": _onnx_version(), "code": None},
                PYTHON_FUNCTION: {"loader_module": "mlflow.onnx", "data": "model.onnx"},
            },
            requirements=(f"onnxruntime=={runtime.__version__}", *_onnx_requirement()),
            batchable=True,
        )


def _copy_external_data(model: Path, content: bytes, directory: Path) -> None:
    """Large models keep weights in files beside the graph, which names them: copy every sibling it mentions."""
    for sibling in sorted(model.parent.iterdir()):
        if sibling.is_file() and sibling != model and sibling.name.encode() in content:
            shutil.copyfile(sibling, directory / sibling.name)


def _onnx_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("onnx")
    except PackageNotFoundError:
        return ""


def _onnx_requirement() -> tuple[str, ...]:
    return (f"onnx=={_onnx_version()}",) if _onnx_version() else ()


def open_session(path: Path, settings: Mapping[str, Any], threads: int) -> Any:
    """An onnxruntime.InferenceSession with the providers and options that the manifest asks for, as far as they exist.

    From the file's path, never from bytes, so that external data is found beside it; onnxruntime refuses to read
    any outside that directory. `threads` 0 leaves the number to onnxruntime. Raises ArtifactInvalid.
    """
    runtime = need("onnxruntime", "onnx", purpose="An ONNX model")
    options = _options(runtime, settings.get("onnx_session_options") or {}, threads)
    available = set(runtime.get_available_providers())
    wanted = settings.get("providers") or []
    wanted = [wanted] if isinstance(wanted, str) else wanted
    providers = [tuple(p) if isinstance(p, list) else p for p in wanted]
    providers = [p for p in providers if (p if isinstance(p, str) else p[0]) in available] or [_CPU]
    try:
        try:
            return runtime.InferenceSession(str(path), sess_options=options, providers=providers)
        except Exception:
            if providers == [_CPU]:
                raise
            return runtime.InferenceSession(str(path), sess_options=options, providers=[_CPU])
    except Exception as error:
        detail = " ".join(str(error).split())
        raise ArtifactInvalid(f"{path.name} is damaged or not an ONNX model: {shortened(detail, 300)}.") from error


def _options(runtime: Any, given: Mapping[str, Any], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors reach us as exceptions; warnings about the graph are the packager's
    options.inter_op_num_threads = int(given.get("inter_op_num_threads") or 1)
    options.intra_op_num_threads = int(given.get("intra_op_num_threads") or threads)
    # A spinning pool steals the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if str(given.get("execution_mode", "")).lower() == "parallel":
        options.execution_mode = runtime.ExecutionMode.ORT_PARALLEL
    if "graph_optimization_level" in given:
        options.graph_optimization_level = runtime.GraphOptimizationLevel(int(given["graph_optimization_level"]))
    for key, value in (given.get("extra_session_config") or {}).items():
        options.add_session_config_entry(str(key), str(value))
    return options


class OnnxPredictor(Predictor):
    """Runs one session. onnxruntime sessions may be run from several threads."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {i.name: _DTYPES.get(i.type) for i in session.get_inputs()}
        self._outputs = [o.name for o in session.get_outputs()]

    def example_form(self, table: Table) -> Table | Tensors:
        """A table as callers should send it: in the graph's number type; as an array where the graph's outputs make
        no table with one value a row. Raises PredictError where the graph cannot take the table."""
        if len(self._inputs) == 1 and table.block is not None and table.block.dtype.kind in "iu":
            table = Table(table.names, block=table.block.astype(np.float64), index=table.index)
        try:
            results = [_as_array(r) for r in self._session.run(self._outputs, self._from_table(table))]
        except Exception as error:
            raise PredictError(f"The ONNX graph cannot take the rows: {shortened(str(error), 300)}.") from error
        if all(r.size == table.rows for r in results):
            return table
        feeds = self._from_table(table)
        return Tensors.named(feeds) if len(feeds) > 1 else Tensors.single(next(iter(feeds.values())))

    def _predict(self, payload: Payload, params: Mapping[str, Any]) -> Payload:
        if isinstance(payload, Table):
            results = self._session.run(self._outputs, self._from_table(payload))
            return self._as_table(results)
        if not isinstance(payload, Tensors):
            raise PredictError("An ONNX model takes columns or arrays, not a bare JSON value.")
        results = self._session.run(self._outputs, self._from_tensors(payload))
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
        if array.dtype == np.float64 and self._inputs.get(name) is np.float32:
            return array.astype(np.float32)
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
    """What DataFrame.values gives for columns of several dtypes: their common one."""
    return np.stack([c for c in table.iter_columns()], axis=1) if table.width else np.empty((table.rows, 0))


def _as_array(result: Any) -> Array:
    """Graph outputs are arrays, or lists (of dicts, where a ZipMap ends the graph)."""
    return result if isinstance(result, np.ndarray) else as_object_array(result)
