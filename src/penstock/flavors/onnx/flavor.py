"""ONNX models, run by onnxruntime. A graph carries no code, so a package is data-only, unless its manifest sets options
of onnxruntime that could name libraries to load or files to write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.errors import CodeNotTrusted, PackagingFailed
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
from penstock.flavors.onnx.bounded_graph import graph_reasons
from penstock.flavors.onnx.control_flow import has_control_flow
from penstock.flavors.onnx.external_data import copy_external_data, external_data
from penstock.flavors.onnx.graph import check_stored, read_graph
from penstock.flavors.onnx.predictor import OnnxPredictor
from penstock.flavors.onnx.session import CPU, open_session, unreviewed_options
from penstock.flavors.pins import pins
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import Payload

_FILE = "model.onnx"
# How files are called that hold Python objects.
PICKLED = (".joblib", ".pkl", ".pickle", ".skops")


class OnnxFlavor(Flavor):
    interface = INTERFACE_VERSION
    name = "onnx"
    loader_modules = frozenset({"mlflow.onnx"})
    distributions = ("onnxruntime",)
    takes_code = False

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.flavors.get(self.name) or manifest.python_function or {}
        return posix(str(settings.get("data") or _FILE))

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        odd = unreviewed_options(manifest.flavors.get(self.name) or {})
        return [CodeReason("MLmodel", f"sets unreviewed onnxruntime options: {', '.join(odd)}")] if odd else []

    def process_reasons(self, directory: Path, manifest: Manifest) -> list[str]:
        path = inside(directory, self.artifact(manifest), "ONNX model")
        if has_control_flow(path):
            return ["its graph repeats or branches (Loop, If, Scan, sequences)"]
        try:
            return graph_reasons(read_graph(path))
        except (OSError, ValueError):
            return ["its graph cannot be read"]

    def load(self, context: LoadContext) -> OnnxPredictor:
        path = inside(context.directory, self.artifact(context.manifest), "ONNX model")
        settings = context.manifest.flavors.get(self.name) or {}
        if not context.trusted and (odd := unreviewed_options(settings)):
            raise CodeNotTrusted(f"The manifest sets unreviewed onnxruntime options: {', '.join(odd)}.")
        check_stored(path)
        session = open_session(path, settings, context.threads)
        return OnnxPredictor(session, control_flow=has_control_flow(path))

    def accepts(self, model: Any) -> bool:
        """Any file but one that tells of something else: an ONNX graph has no mark at its beginning, so only loading it
        tells."""
        if isinstance(model, Path):
            return model.is_file() and model.suffix not in (".py", *PICKLED)
        return isinstance(model, bytes) or (hasattr(model, "SerializeToString") and not isinstance(model, type))

    def write(self, model: Any, directory: Path, options: FlavorOptions, example: Payload | None = None) -> Written:
        """Writes model.onnx from a file, its bytes or an onnx.ModelProto, with the weights that a file names."""
        if isinstance(model, Path):
            content = model.read_bytes()
        elif isinstance(model, bytes):
            content = model
        else:
            content = model.SerializeToString()
        (directory / _FILE).write_bytes(content)
        if isinstance(model, Path):
            copy_external_data(model, content, directory)
        elif names := external_data(content):
            raise PackagingFailed(
                f"The ONNX model keeps weights in other files ({', '.join(names[:5])}).",
                hint="Give the path of the .onnx file instead, so that they are found beside it.",
            )
        need("onnxruntime", "onnx", purpose="Packaging an ONNX model")
        return Written(
            flavors={
                "onnx": {"data": _FILE, "providers": [CPU], "onnx_version": _onnx_version(), "code": None},
                PYTHON_FUNCTION: {"loader_module": "mlflow.onnx", "data": _FILE},
            },
            requirements=pins("onnxruntime", "onnxruntime-gpu", "onnx", "numpy"),
            batchable=True,
        )


def _onnx_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("onnx")
    except PackageNotFoundError:
        return ""
