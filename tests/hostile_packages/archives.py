"""Skops files that unpack to more than they are, and members that are not what they say."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hostile_packages.bases import iris_package, iris_skops, repacked, schema
from hostile_packages.package import EITHER, HostilePackage

_MIB = 1024 * 1024


def archives() -> Iterator[HostilePackage]:
    yield HostilePackage("archive", "an array of 2 GB in 2 MB", _bomb(250_000_000))
    yield HostilePackage("archive", "an array of 100 MB in 100 kB", _bomb(12_500_000), quick=True)
    yield HostilePackage("archive", "a description of 300 MB", _skops(schema(lambda text: text + " " * (300 * _MIB))))
    yield HostilePackage(
        "archive",
        "a description of two million lists",
        _skops(schema(lambda text: "[" + "[]," * 2_000_000 + "[]]")),
        quick=True,
    )
    yield HostilePackage("archive", "a description of brackets", _skops(schema(lambda text: "[" * 200_000)), quick=True)
    yield HostilePackage(
        "archive", "a description that is no JSON", _skops(schema(lambda text: "nonsense")), quick=True
    )
    yield HostilePackage("archive", "a description of another kind", _skops(schema(lambda text: "[1]")), quick=True)
    yield HostilePackage(
        "archive",
        "packed with bzip2",
        lambda place: iris_package(
            place, skops_file=repacked(iris_skops(), lambda name, content: None, zipfile.ZIP_BZIP2)
        ),
        quick=True,
    )
    yield HostilePackage(
        "archive",
        "packed with lzma",
        lambda place: iris_package(
            place, skops_file=repacked(iris_skops(), lambda name, content: None, zipfile.ZIP_LZMA)
        ),
        quick=True,
    )
    yield HostilePackage("archive", "a member that claims less than it holds", _liar, EITHER)
    yield HostilePackage(
        "archive", "no archive", lambda place: iris_package(place, skops_file=b"PK\x03\x04nonsense"), quick=True
    )
    yield HostilePackage(
        "archive",
        "an archive without a description",
        lambda place: iris_package(place, skops_file=_empty()),
        quick=True,
    )
    yield HostilePackage(
        "archive",
        "cut in half",
        lambda place: iris_package(place, skops_file=iris_skops()[: len(iris_skops()) // 2]),
        quick=True,
    )
    yield HostilePackage("archive", "an array of objects", _skops(_pickled), EITHER)
    yield HostilePackage(
        "archive", "arrays without their members", _skops(schema(lambda text: text.replace(".npy", ".gone")))
    )
    yield HostilePackage(
        "archive",
        "the types of a shell",
        _skops(
            schema(
                lambda text: text.replace("LogisticRegression", "system").replace(
                    "sklearn.linear_model._logistic", "os"
                )
            )
        ),
        quick=True,
    )


def _skops(edit: Callable[[str, bytes], bytes | None]) -> Callable[[Path], None]:
    return lambda place: iris_package(place, skops_file=repacked(iris_skops(), edit))


def _bomb(cells: int) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        made = io.BytesIO()
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (cells,)})
        with (
            zipfile.ZipFile(io.BytesIO(iris_skops())) as old,
            zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            first = True
            for name in old.namelist():
                if name.endswith(".npy") and first:
                    first = False
                    with new.open(name, "w", force_zip64=True) as member:
                        member.write(header.getvalue())
                        for _ in range(cells // 1_250_000):
                            member.write(bytes(10_000_000))
                else:
                    new.writestr(name, old.read(name))
        iris_package(place, skops_file=made.getvalue())

    return make  # fmt: skip


def _liar(place: Path) -> None:
    size = 48 * _MIB
    raw = repacked(iris_skops(), lambda name, content: bytes(size) if name.endswith(".npy") else None)
    raw = raw.replace(size.to_bytes(4, "little"), (64).to_bytes(4, "little"))
    raw = raw.replace(zlib.crc32(bytes(size)).to_bytes(4, "little"), zlib.crc32(bytes(64)).to_bytes(4, "little"))
    iris_package(place, skops_file=raw)


def _empty() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        new.writestr("other.json", "{}")
    return made.getvalue()


def _pickled(name: str, content: bytes) -> bytes | None:
    if not name.endswith(".npy"):
        return None
    made = io.BytesIO()
    np.save(made, np.array([print, {}], dtype=object), allow_pickle=True)
    return made.getvalue()
