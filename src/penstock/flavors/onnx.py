"""ONNX models, run by onnxruntime. A graph carries no code, so a package is data-only, unless its manifest sets options
of onnxruntime that could name libraries to load or files to write.

Inputs and outputs follow MLflow's onnx flavor: a table feeds a single graph input whole, several inputs column by
column; a table in gives a table out with every output flattened, arrays in give arrays out by output name.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import ArtifactInvalid, CodeNotTrusted, PackageInvalid, PackagingFailed, PredictError
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor, Written, inside, need
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import TEXT, Array, Params, Payload, Table, Tensors, as_object_array, clipped, shortened

# Options that set numbers and switches, and nothing else.
_REVIEWED_OPTIONS = frozenset(
    {
        "arena_extend_strategy",
        "cudnn_conv_algo_search",
        "cudnn_conv_use_max_workspace",
        "device_id",
        "do_copy_in_default_stream",
        "enable_cuda_graph",
        "gpu_mem_limit",
        "tunable_op_enable",
        "use_tf32",
        "session.disable_prepacking",
        "session.dynamic_block_base",
        "session.force_spinning_stop",
        "session.inter_op.allow_spinning",
        "session.intra_op.allow_spinning",
        "session.set_denormal_as_zero",
        "session.use_device_allocator_for_initializers",
        "session.use_env_allocators",
    }
)
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
        odd = _unreviewed_options(manifest.flavors.get(self.name) or {})
        return (
            [CodeReason("MLmodel", f"sets onnxruntime options that nobody has reviewed: {', '.join(odd)}")]
            if odd
            else []
        )

    def load(self, context: LoadContext) -> OnnxPredictor:
        path = inside(context.directory, self.artifact(context.manifest), "ONNX model")
        settings = context.manifest.flavors.get(self.name) or {}
        if not context.trusted and (odd := _unreviewed_options(settings)):
            raise CodeNotTrusted(f"The manifest sets onnxruntime options that nobody has reviewed: {', '.join(odd)}.")
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
        elif names := _external_data(content):
            raise PackagingFailed(
                f"The ONNX model keeps weights in other files ({', '.join(names[:5])}).",
                hint="Give the path of the .onnx file instead, so that they are found beside it.",
            )
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
    """Large models keep weights in files beside the graph, which names them. Raises PackagingFailed."""
    for name in _external_data(content):
        source = model.parent / name
        if Path(name).is_absolute() or not source.resolve().is_relative_to(model.parent.resolve()):
            raise PackagingFailed(f"The ONNX model keeps weights outside its directory: {name}.")
        if not source.is_file():
            raise PackagingFailed(f"The ONNX model keeps weights in {name}, which is not beside it.")
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / name)


# In the protocol buffer: an entry whose key (field 1, 8 bytes) is "location" and whose value (field 2) is a file name.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f]|[\x80-\xff][\x01-\x1f])")


def _external_data(content: bytes) -> list[str]:
    """The files that a graph names for its weights (TensorProto.external_data), in order."""
    names = set()
    for found in _LOCATION.finditer(content):
        length = found[1][0] if len(found[1]) == 1 else (found[1][0] & 0x7F) | found[1][1] << 7
        names.add(content[found.end() : found.end() + length].decode("utf-8", errors="replace"))
    return sorted(names)


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
    try:
        options = _options(runtime, settings.get("onnx_session_options") or {}, threads)
    except Exception as error:
        raise PackageInvalid(
            f"The manifest's onnx_session_options cannot be used: {clipped(str(error), 200)}."
        ) from None
    available = set(runtime.get_available_providers())
    providers = [given if given[1] else given[0] for given in _providers(settings) if given[0] in available] or [_CPU]
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


def _providers(settings: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The providers that the manifest asks for, each with its options. Raises PackageInvalid."""
    wanted = settings.get("providers") or []
    found: list[tuple[str, dict[str, Any]]] = []
    for entry in [wanted] if isinstance(wanted, str) else wanted:
        name, options, *more = [*entry, {}, {}][:3] if isinstance(entry, list) else [entry, {}]
        if not (isinstance(name, str) and isinstance(options, Mapping)) or any(more):
            raise PackageInvalid(f"The manifest names an ONNX provider that cannot be read: {shortened(entry)}.")
        found.append((name, dict(options)))
    return found


def _unreviewed_options(settings: Mapping[str, Any]) -> list[str]:
    """Options by which a manifest could have onnxruntime load a library or touch a file. Raises PackageInvalid.

    Some providers load libraries that an option names, and some session entries name files to write.
    """
    given = [key for _, options in _providers(settings) for key in options]
    session = settings.get("onnx_session_options")
    extra = session.get("extra_session_config") if isinstance(session, Mapping) else None
    given += extra if isinstance(extra, Mapping) else []
    return sorted({str(key) for key in given} - _REVIEWED_OPTIONS)


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

    quick = True
    takes_frames = False
    parallel = True
    cyclic = False

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
            raise PredictError(f"The ONNX graph cannot take the rows: {clipped(str(error), 300)}.") from error
        if all(r.size == table.rows for r in results):
            return table
        feeds = self._from_table(table)
        return Tensors.named(feeds) if len(feeds) > 1 else Tensors.single(next(iter(feeds.values())))

    def _predict(self, payload: Payload, params: Params) -> Payload:
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
