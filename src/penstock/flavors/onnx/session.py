"""onnxruntime's sessions: the providers and options that a manifest asks for, and which of them are reviewed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid, PackageInvalid
from penstock.flavors.interface import need
from penstock.payload import clipped, shortened

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

CPU = "CPUExecutionProvider"

# A manifest may have been written on a larger machine, or by somebody who wants this one to start a million.
_MOST_THREADS = max(64, os.cpu_count() or 1)

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


def open_session(path: Path, settings: Mapping[str, Any], threads: int) -> InferenceSession:
    """An onnxruntime.InferenceSession with the providers and options that the manifest asks for, as far as they exist.

    From the file's path, never from bytes, so that external data is found beside it; onnxruntime refuses to read
    any outside that directory. `threads` 0 leaves the number to onnxruntime. Raises ArtifactInvalid.
    """
    runtime = need("onnxruntime", "onnx", purpose="An ONNX model")
    try:
        options = _options(runtime, settings.get("onnx_session_options") or {}, threads)
    except Exception as error:
        raise PackageInvalid(
            f"The manifest's onnx_session_options cannot be used: {clipped(text_of(error), 200)}."
        ) from None
    available = set(runtime.get_available_providers())
    providers = [given if given[1] else given[0] for given in _providers(settings) if given[0] in available] or [CPU]
    try:
        try:
            return runtime.InferenceSession(str(path), sess_options=options, providers=providers)
        except Exception:
            if providers == [CPU]:
                raise
            return runtime.InferenceSession(str(path), sess_options=options, providers=[CPU])
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


def unreviewed_options(settings: Mapping[str, Any]) -> list[str]:
    """Options by which a manifest could have onnxruntime load a library or touch a file. Raises PackageInvalid.

    Some providers load libraries that an option names, and some session entries name files to write.
    """
    given = [key for _, options in _providers(settings) for key in options]
    session = settings.get("onnx_session_options")
    extra = session.get("extra_session_config") if isinstance(session, Mapping) else None
    given += extra if isinstance(extra, Mapping) else []
    return sorted({str(key) for key in given} - _REVIEWED_OPTIONS)


def _options(runtime: ModuleType, given: Mapping[str, Any], threads: int) -> SessionOptions:
    options = runtime.SessionOptions()
    # Errors reach us as exceptions; what onnxruntime writes to standard error itself holds names of the graph.
    options.log_severity_level = 4
    options.inter_op_num_threads = int(given.get("inter_op_num_threads") or 1)
    options.intra_op_num_threads = min(int(given.get("intra_op_num_threads") or 0), _MOST_THREADS) or threads
    # A spinning pool steals the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if str(given.get("execution_mode", "")).lower() == "parallel":
        options.execution_mode = runtime.ExecutionMode.ORT_PARALLEL
    if "graph_optimization_level" in given:
        options.graph_optimization_level = runtime.GraphOptimizationLevel(int(given["graph_optimization_level"]))
    for key, value in (given.get("extra_session_config") or {}).items():
        options.add_session_config_entry(str(key), str(value))
    return options
