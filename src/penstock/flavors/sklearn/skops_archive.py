"""The archive that a skops file is: how much it unpacks to, and its members read within what they claim.

A few bytes of a zip archive can stand for gigabytes. skops itself stores members as they are; an archive that unpacks
to many times its size was packed by somebody else. What a member claims of its size need not be true either: Python's
zipfile unpacks first and cuts afterwards, so members are read here in steps.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from penstock.errors import ArtifactInvalid
from penstock.package_file import MIB
from penstock.sizes import shown_size

SCHEMA = "schema.json"

# Of an archive: what its members may unpack to together, in its own size, and in bytes whatever its size.
_RATIO = 32
_FREE = 64 * MIB
_MOST = 16 * 1024 * MIB
# Of the description, which Python makes objects of: a vocabulary of half a million words has 100 MB of it.
_FREE_SCHEMA = 16 * MIB
_MOST_SCHEMA = 128 * MIB
# skops writes some 20 bytes for a value or more; lists of nothing take three, and twenty times as much of memory.
_BYTES_PER_VALUE = 8
_FREE_VALUES = 100_000


def open_archive(path: Path) -> ZipFile:
    """The archive, with members that may all be read. Raises ArtifactInvalid where they are too large, BadZipFile and
    OSError where it is none."""
    archive = ZipFile(path)
    try:
        _check(archive, path)
    except BaseException:
        archive.close()
        raise
    return archive


def read_member(archive: ZipFile, name: str) -> bytes:
    """One member, of the size that it claims. Raises KeyError, BadZipFile."""
    info = archive.getinfo(name)
    with archive.open(info) as member:
        content = member.read(info.file_size)
    if len(content) != info.file_size:
        raise BadZipFile(f"{name!r} ends too early")
    return content


def read_schema(archive: ZipFile) -> bytes:
    """The description, which is not too dense to make objects of. Raises ArtifactInvalid, KeyError, BadZipFile."""
    text = read_member(archive, SCHEMA)
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if values > _FREE_VALUES + len(text) // _BYTES_PER_VALUE:
        raise ArtifactInvalid(f"The description in {_name(archive)} holds {values:,} values in {len(text):,} bytes.")
    return text


def for_skops(path: Path) -> Path | BytesIO:
    """What skops may read as it likes: the file itself, or where members are packed, a copy of it with members that are
    not. Raises ArtifactInvalid, BadZipFile, OSError."""
    with open_archive(path) as archive:
        read_schema(archive)
        if all(info.compress_type == ZIP_STORED for info in archive.infolist()):
            return path
        made = BytesIO()
        with ZipFile(made, "w") as unpacked:
            for name in dict.fromkeys(archive.namelist()):
                unpacked.writestr(name, read_member(archive, name))
    made.seek(0)
    return made


def _check(archive: ZipFile, path: Path) -> None:
    size = path.stat().st_size
    total = sum(info.file_size for info in archive.infolist())
    if total > (most := min(_MOST, max(_FREE, _RATIO * size))):
        raise ArtifactInvalid(
            f"{path.name} unpacks to {shown_size(total)}, where {shown_size(most)} are allowed for a file of "
            f"{shown_size(size)}.",
            hint="Write the file with skops, uncompressed.",
        )
    for info in archive.infolist():
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ArtifactInvalid(
                f"{path.name} is compressed in a way that is not read here (method {info.compress_type}).",
                hint="Write the file with skops, uncompressed or with ZIP_DEFLATED.",
            )
        if info.filename == SCHEMA and info.file_size > (most := _schema_limit(info)):
            raise ArtifactInvalid(
                f"The description in {path.name} takes {shown_size(info.file_size)}, where {shown_size(most)} are "
                f"allowed."
            )


def _schema_limit(info: ZipInfo) -> int:
    return min(_MOST_SCHEMA, max(_FREE_SCHEMA, _RATIO * info.compress_size))


def _name(archive: ZipFile) -> str:
    return Path(archive.filename or "the file").name
