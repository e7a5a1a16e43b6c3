"""The archive of a skops file: what it unpacks to, and members that claim less than they hold."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn import skops_archive
from penstock.flavors.sklearn.skops_archive import for_skops, open_archive, read_member, read_schema

MIB = 1024 * 1024


def archive(path: Path, members: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def test_an_archive_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "model.skops", {"schema.json": b"{}", "0.npy": bytes(65 * MIB)})
    with pytest.raises(ArtifactInvalid, match=r"model\.skops unpacks to .*, where .* are allowed"):
        open_archive(bomb)


def test_members_count_together(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "model.skops", {f"{i}.npy": bytes(9 * MIB) for i in range(8)})
    with pytest.raises(ArtifactInvalid, match="unpacks to"):
        open_archive(bomb)


def test_an_array_of_zeros_of_an_honest_size_is_read(tmp_path: Path) -> None:
    fine = archive(tmp_path / "model.skops", {"schema.json": b"{}", "0.npy": bytes(20 * MIB)})
    with open_archive(fine) as opened:
        assert read_member(opened, "0.npy") == bytes(20 * MIB)


def test_a_description_is_bounded_in_bytes_and_in_values(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="description in long takes"):
        open_archive(archive(tmp_path / "long", {"schema.json": bytes(17 * MIB)}))
    dense = archive(tmp_path / "dense", {"schema.json": b"[" + b"[]," * 200_000 + b"[]]"})
    with open_archive(dense) as opened, pytest.raises(ArtifactInvalid, match="values in"):
        read_schema(opened)


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(tmp_path: Path, how: int) -> None:
    """zipfile gives their unpackers all the input at once, and no limit."""
    with pytest.raises(ArtifactInvalid, match="compressed in a way"):
        open_archive(archive(tmp_path / "model.skops", {"schema.json": b"{}"}, how))


def test_a_member_that_claims_less_than_it_holds_is_not_unpacked_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "model.skops", {"schema.json": b"{}", "0.npy": bytes(48 * MIB)})
    content = path.read_bytes()
    claimed, crc = (48 * MIB).to_bytes(4, "little"), zlib.crc32(bytes(48 * MIB)).to_bytes(4, "little")
    path.write_bytes(
        content.replace(claimed, (100).to_bytes(4, "little")).replace(crc, zlib.crc32(bytes(100)).to_bytes(4, "little"))
    )
    unpacked = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int) -> None:
            self._inner = real(bits)

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        def decompress(self, *arguments: object) -> bytes:
            piece = self._inner.decompress(*arguments)  # type: ignore[arg-type]
            unpacked.append(len(piece))
            return piece

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    given = for_skops(path)
    assert isinstance(given, BytesIO)
    assert sum(unpacked) < MIB
    with zipfile.ZipFile(given) as copied:
        assert copied.read("0.npy") == bytes(100)


def test_an_archive_that_skops_wrote_is_given_as_it_is(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.skops", {"schema.json": b"{}"}, zipfile.ZIP_STORED)
    assert for_skops(path) == path


def test_the_limits_let_large_models_pass() -> None:
    assert skops_archive._MOST >= 8 * 1024 * MIB
    assert skops_archive._MOST_SCHEMA >= 100 * MIB
