"""The formats of files, by their endings. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import ConfigError, remedy
from penstock.payload import shortened

TEXT_FORMATS = ("csv", "tsv", "jsonl")
FORMATS = (*TEXT_FORMATS, "parquet", "arrow")

_ENDINGS = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "ipc": "arrow",
    "feather": "arrow",
}
_COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One of FORMATS, and how the whole file is packed: gzip, zstd or not at all. Parquet and Arrow pack inside."""

    name: str
    compression: str | None = None

    @property
    def is_text(self) -> bool:
        return self.name in TEXT_FORMATS

    @property
    def delimiter(self) -> str | None:
        """What parts the cells of a record; None where records have no cells."""
        return {"csv": ",", "tsv": "\t"}.get(self.name)

    @property
    def ending(self) -> str:
        packed = {"gzip": ".gz", "zstd": ".zst", None: ""}[self.compression]
        return f".{self.name}{packed}"

    def __str__(self) -> str:
        return self.ending[1:]


def format_of(name: str) -> FileFormat | None:
    """The format that a file's name, or a word like csv.gz, tells; None where it tells none."""
    words = name.lower().rsplit("/", 1)[-1].split(".")
    compression = _COMPRESSIONS.get(words[-1])
    if compression is not None:
        words.pop()
    known = _ENDINGS.get(words[-1]) if words else None
    if known is None or (compression is not None and known not in TEXT_FORMATS):
        return None
    return FileFormat(known, compression)


def needed_format(name: str, given: str | None, setting: str) -> FileFormat:
    """What `given` (the value of `setting`) or else the name says. Raises ConfigError where neither says anything."""
    found = format_of(given if given is not None else name)
    if found is not None:
        return found
    words = f"{', '.join(FORMATS)}; .gz or .zst after the first three"
    if given is not None:
        kind = setting.replace("_", " ")
        raise ConfigError(f"There is no {kind} {shortened(given)}.", hint=f"Known formats: {words}.")
    what = {"-": "A stream"}.get(name, name)
    raise ConfigError(
        f"{what} has no file extension that tells its format.",
        hint=f"Name one as {setting}: {words}.",
        remedy=remedy("name_format", option=setting.replace("_", "-"), formats=words),
    )
