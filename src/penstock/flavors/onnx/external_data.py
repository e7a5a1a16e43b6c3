"""Weights that an ONNX graph keeps in files beside it: which ones it names, and copying them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from penstock.errors import PackagingFailed


def copy_external_data(model: Path, content: bytes, directory: Path) -> None:
    """Large models keep weights in files beside the graph, which names them. Raises PackagingFailed."""
    for name in external_data(content):
        source = model.parent / name
        if Path(name).is_absolute() or not source.resolve().is_relative_to(model.parent.resolve()):
            raise PackagingFailed(f"The ONNX model keeps weights outside its directory: {name}.")
        if not source.is_file():
            raise PackagingFailed(f"The ONNX model keeps weights in {name}, which is not beside it.")
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / name)


# In the protocol buffer: an entry whose key (field 1, 8 bytes) is "location" and whose value (field 2) is a file name.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f]|[\x80-\xff][\x01-\x1f])")


def external_data(content: bytes) -> list[str]:
    """The files that a graph names for its weights (TensorProto.external_data), in order."""
    names = set()
    for found in _LOCATION.finditer(content):
        length = found[1][0] if len(found[1]) == 1 else (found[1][0] & 0x7F) | found[1][1] << 7
        names.add(content[found.end() : found.end() + length].decode("utf-8", errors="replace"))
    return sorted(names)
