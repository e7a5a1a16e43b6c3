"""What a job will do, decided before anything is read: the sources, where parts begin, who scores which, and the
fingerprint by which a later run knows that it is the same job. Pure.

A *source* is one input file. A *part* is `part_rows` consecutive rows of one source, the last one what is left; it
becomes one output file. So the boundaries follow from the plan and the data alone, never from speed or workers.
A *chunk* is what is read and predicted at once, bounded by rows and bytes, and never crosses a part.
A *shard* is one of several runs that share the parts of a plan among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from penstock.errors import ConfigError
from penstock.scoring.file_formats import FileFormat

CHUNK_ROWS = 65_536
CHUNK_BYTES = 8 << 20
PART_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """One input file. `size` in bytes is None for a stream; `tag` changes when the file does (time or etag)."""

    path: str
    format: FileFormat
    size: int | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """Number `index` (from 0) of `count` runs that share a plan's parts."""

    index: int = 0
    count: int = 1

    def owns(self, source: int, part: int) -> bool:
        """For files that are not dealt whole: their parts are dealt out like cards, each file beginning with the next
        shard."""
        return (source + part) % self.count == self.index

    @property
    def manifest(self) -> str:
        """The name of its job manifest."""
        return "_manifest.jsonl" if self.count == 1 else f"_manifest-{self.index}-of-{self.count}.jsonl"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()
# The largest share of whole files may be so many times the mean one.
_EVEN = 1.25


def deal_files(sources: Sequence[Source], shards: int) -> tuple[int, ...] | None:
    """The shard of each source, where whole files can be shared evenly by size, so that none reads another's; None
    where they cannot, and parts are dealt instead. The largest files are dealt first, each to who has least."""
    sizes = [source.size or 1 for source in sources]
    loads, owners = [0] * shards, [0] * len(sources)
    for number in sorted(range(len(sources)), key=lambda n: (-sizes[n], n)):
        owners[number] = loads.index(min(loads))
        loads[owners[number]] += sizes[number]
    return tuple(owners) if max(loads) * shards <= _EVEN * sum(sizes) else None


def parse_shard(text: str) -> Shard:
    """`2/8` is the third of eight. Raises ConfigError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if found and (shard := Shard(int(found[1]), int(found[2]))).index < shard.count:
        return shard
    raise ConfigError(f"The shard {text} must be i/N, with i from 0 to N-1.", hint="The first of eight shards is 0/8.")


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """What shapes the output, hence belongs to the fingerprint. How fast it is made (workers) does not.

    `keep` names columns to copy. Where `*` is among them all are copied, and the others are only not given to a model
    that takes every column.
    """

    output: FileFormat
    keep: tuple[str, ...] = ()
    on_error: str = "fail"
    lineage: str = "metadata"
    limit: int | None = None
    part_rows: int = PART_ROWS
    chunk_rows: int = CHUNK_ROWS
    chunk_bytes: int = CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class JobLineage:
    """Which model answers: its name, version and the digest of its package."""

    model: str
    version: str
    digest: str

    def metadata(self) -> dict[str, str]:
        """For a file's own metadata."""
        return {f"penstock.{key}": value for key, value in asdict(self).items()}

    def columns(self) -> dict[str, str]:
        """For columns of the output."""
        return {"model_name": self.model, "model_version": self.version, "model_digest": self.digest}


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    lineage: JobLineage
    sources: tuple[Source, ...]
    options: ScoringOptions
    params: Mapping[str, Any] | None = None
    shards: int = 1
    software: Mapping[str, str] | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all sources, None where one is a stream."""
        sizes = [source.size for source in self.sources]
        return None if any(size is None for size in sizes) else sum(size for size in sizes if size is not None)

    def share(self, source: int, share: float) -> float:
        """How much of all sources is read (0 to 1) when that much of one is."""
        sizes = [s.size or 1 for s in self.sources]
        return (sum(sizes[:source]) + share * sizes[source]) / sum(sizes)

    def part_name(self, source: int, part: int) -> str:
        """Sorted by name, the parts are in the order of the rows."""
        return f"part-{source:05}-{part:06}{self.options.output.ending}"

    def fingerprint(self) -> dict[str, Any]:
        """Everything that the output depends on, as plain JSON values."""
        options = asdict(self.options) | {"output": str(self.options.output), "keep": list(self.options.keep)}
        return {
            "model": asdict(self.lineage),
            "inputs": [{"path": s.path, "format": str(s.format), "size": s.size, "tag": s.tag} for s in self.sources],
            "params": None if self.params is None else {name: repr(value) for name, value in self.params.items()},
            "options": options,
            "shards": self.shards,
            "software": dict(self.software or {}),
        }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two fingerprints differ, one sentence for each difference; empty for the same job."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{name} was {old.get(name, 'not there')}, is {new.get(name, 'not there')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    ]


_ABSENT = object()


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values inside, each with its path in words; an input goes by its file's path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name} {key}".strip())
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for item in value:
            yield from _leaves({k: v for k, v in item.items() if k != "path"}, f"{name[:-1]} {item.get('path')}")
    else:
        yield name, value
