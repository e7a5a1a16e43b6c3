"""Manifests that are no files, are too large, or name what is not theirs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from hostile_packages.bases import iris_package, manifest
from hostile_packages.package import EITHER, HostilePackage

_GOOD = yaml.safe_dump(manifest())


def manifests() -> Iterator[HostilePackage]:
    for name, replace in _SPECIAL.items():
        yield HostilePackage("manifest", name, _special(replace), quick=True)
    for name, text in _TEXTS.items():
        yield HostilePackage("manifest", name, _text(text), quick=True)
    for name, sections in _NAMED.items():
        yield HostilePackage("paths", name, _named(sections), quick=True)
    yield HostilePackage("terminal", "escapes in names and versions", _text(_escapes()), EITHER, quick=True)


def _special(replace: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        iris_package(place)
        (place / "MLmodel").unlink()
        replace(place / "MLmodel")

    return make


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


_SPECIAL: dict[str, Callable[[Path], object]] = {
    "MLmodel is a pipe": os.mkfifo,
    "MLmodel is a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "MLmodel is a link to a file outside": lambda path: path.symlink_to("/etc/passwd"),
    "MLmodel is a link to itself": lambda path: path.symlink_to(path),
    "MLmodel is a directory": Path.mkdir,
    "MLmodel of a terabyte without content": _sparse,
}

_TEXTS = {
    "3.6 MB of small values": _GOOD + "junk:\n" + "- {a: 1}\n" * 400_000,
    "1 MB of small values": _GOOD + "junk:\n" + "- {a: 1}\n" * 100_000,
    "a million brackets": "flavors: " + "[" * 1_000_000,
    "mappings in mappings": "flavors: " + "{a: " * 100_000,
    "aliases nested": _GOOD + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(9)),
    "merges nested": _GOOD + "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9) if i else '{x: 1}'}]}}\n" for i in range(9)),
    "a number in base 60": _GOOD + "n: !!int " + "1:" * 300_000 + "1\n",
    "a tag that names Python": _GOOD + "x: !!python/object/apply:os.system ['touch /tmp/penstock-was-here']\n",
    "no mapping": "- a\n- b\n",
    "nothing": "",
    "bytes that are no text": "flavors: \x00\x01\n",
    "a format of the future": yaml.safe_dump(manifest(metadata={"penstock": {"format": 99}})),
    "a signature that is no JSON": yaml.safe_dump(manifest(signature={"inputs": "[" * 10_000, "outputs": None})),
    "a signature of columns in columns": yaml.safe_dump(
        manifest(signature={"inputs": '[{"name": "a", "type": ' + '{"type": "array", "items": ' * 500 + '"double"' + "}" * 500 + "}]"})
    ),
}  # fmt: skip


def _text(text: str) -> Callable[[Path], None]:
    return lambda place: iris_package(place, mlmodel=text)


def _escapes() -> str:
    content: dict[str, Any] = manifest(metadata={"penstock": {"format": 1, "version": "\x1b]0;title\x07\x1b[31mRED"}})
    content["flavors"]["\x1b[32mgreen\u202e"] = {"a": 1}
    return str(yaml.safe_dump(content))


_NAMED: dict[str, dict[str, Any]] = {
    "a model outside": {"sklearn": {"pickled_model": "../../../etc/passwd"}},
    "a model by its absolute path": {"sklearn": {"pickled_model": "/etc/passwd"}},
    "a model on a drive": {"sklearn": {"pickled_model": r"C:\work\model.skops"}},
    "a model with backslashes that climb": {"sklearn": {"pickled_model": r"..\..\etc\passwd"}},
    "a name of 5,000 characters": {"sklearn": {"pickled_model": "a" * 5000}},
    "a name with a NUL": {"sklearn": {"pickled_model": "a\0b"}},
    "code of another place": {"python_function": {"loader_module": "os", "code": "/etc"}},
    "a loader module of Python's own": {"python_function": {"loader_module": "antigravity"}},
    "a loader of MLflow's": {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "x.pkl"}},
    "a flavor that nobody knows": {"sklearn": None, "python_function": None, "unheard_of": {}},
    "a flavor that is a list": {"sklearn": ["model.skops"]},
}  # fmt: skip


def _named(sections: dict[str, Any]) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        content = manifest()
        for name, section in sections.items():
            if section is None:
                content["flavors"].pop(name, None)
            elif isinstance(section, dict) and name == "sklearn":
                content["flavors"] = {"sklearn": {**content["flavors"]["sklearn"], **section}}
            else:
                content["flavors"][name] = section
        iris_package(place, mlmodel=yaml.safe_dump(content))

    return make
