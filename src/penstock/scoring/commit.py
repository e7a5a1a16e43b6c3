"""The job manifest: what is done of a directory output, one line for each part, so that a killed job goes on.

The first line is the job's fingerprint, then one line for each part whose file is complete, and a last one when there
are no more. A part's file is in its place before its line is written, so a line never lies; a part without its line is
made again, the same bytes in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from penstock.errors import ConfigError, JobDiffers, ScoringError, remedy
from penstock.scoring.plan import Shard, differences
from penstock.scoring.read.chunks import Position
from penstock.storage.files import FileStore, join

SUCCESS = "_SUCCESS"
REJECTS = "_rejects"


@dataclass(frozen=True, slots=True)
class PartDone:
    """One complete part: where it comes from, how many rows went in and out, and its file's size and checksum. `end` is
    the byte of the source after its last row, where known."""

    file: str
    source: int
    part: int
    row: int
    rows_in: int
    rows_out: int
    rejects: int
    bytes: int
    sha256: str
    end: int | None = None

    @property
    def next(self) -> Position:
        """Where the part after it begins."""
        return Position(self.source, self.part + 1, self.row + self.rows_in, self.end)


@dataclass(frozen=True, slots=True)
class JobState:
    """What a manifest tells. `parts_of` is how many parts each source has, known when all were read; None for a source
    that another shard reads."""

    fingerprint: Mapping[str, Any]
    parts: tuple[PartDone, ...] = ()
    parts_of: tuple[int | None, ...] | None = None

    @property
    def complete(self) -> bool:
        return self.parts_of is not None


def parse_manifest(data: bytes) -> JobState | None:
    """A manifest's lines, the last perhaps torn; None where not even the first is whole. Raises ScoringError."""
    lines = data.split(b"\n")[:-1]
    if not lines:
        return None
    try:
        first, *rest = [orjson.loads(line) for line in lines]
        known = {f.name for f in fields(PartDone)}
        parts = tuple(PartDone(**{k: v for k, v in r["part"].items() if k in known}) for r in rest if "part" in r)
        ends = [r["parts_of"] for r in rest if "parts_of" in r]
        return JobState(first["fingerprint"], parts, tuple(ends[-1]) if ends else None)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ScoringError(f"The job manifest cannot be read: {error}.") from None


class JobManifest:
    """The manifest of one shard in an output directory."""

    def __init__(self, place: FileStore, directory: str, shard: Shard) -> None:
        self._place = place
        self._directory = directory
        self._path = join(directory, shard.manifest)

    def state(self) -> JobState | None:
        """What is done so far, None where no job has begun. Raises ScoringError."""
        return parse_manifest(self._place.read(self._path)) if self._place.describe(self._path) is not None else None

    def begin(self, fingerprint: Mapping[str, Any], *, resume: bool, at: str) -> JobState:
        """Starts or continues the job. Raises JobDiffers where another one has begun here, ScoringError where one has
        and `resume` was not asked for."""
        before = self.state()
        if before is not None and not resume:
            done = "is complete" if before.complete else f"has begun ({len(before.parts)} parts are done)"
            raise ScoringError(
                f"A job {done} in {self._directory}.",
                hint="Resume the job, or choose another directory.",
                remedy=remedy("resume_job"),
            )
        if before is None:
            self._check_neighbours(fingerprint)
            self._place.remove(self._path)  # a torn first line
            self._append({"fingerprint": fingerprint, "at": at})
            return JobState(fingerprint)
        self._compare(before.fingerprint, fingerprint)
        self._check(before)
        self._mend()
        return before

    def _compare(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raises JobDiffers."""
        if different := differences(before, _as_json(now)):
            more = f", and {len(different) - 5} more" if len(different) > 5 else ""
            raise JobDiffers(
                f"The job in {self._directory} differs from this one: {'; '.join(different[:5])}{more}.",
                hint="Choose another directory, or repeat the command that started the job.",
            )

    def _check_neighbours(self, fingerprint: Mapping[str, Any]) -> None:
        """A directory is for one job: other shards' manifests tell the same one, and nothing else lies there."""
        others = self._place.matches(join(self._directory, "_manifest*.jsonl"))
        for path in others:
            state = parse_manifest(self._place.read(path))
            if state is not None:
                self._compare(state.fingerprint, fingerprint)
        if not others and (found := self._place.files(self._directory)):
            raise ConfigError(
                f"{self._directory} holds other files, {found[0].rsplit('/', 1)[-1]} among them.",
                hint="Choose an empty directory.",
            )

    def _check(self, state: JobState) -> None:
        """Raises ScoringError where a part that was written is gone or changed."""
        for part in state.parts:
            found = self._place.describe(join(self._directory, part.file))
            if found is None or found[0] != part.bytes:
                what = "is gone" if found is None else f"has {found[0]} bytes, was written with {part.bytes}"
                raise ScoringError(f"{part.file} in {self._directory} {what}.", hint="Score into another directory.")

    def _mend(self) -> None:
        """Takes a torn last line away, to which the next one would else be appended."""
        data = self._place.read(self._path)
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            with self._place.written(self._path) as path:
                path.write_bytes(whole)

    def commit(self, part: PartDone, *, at: str) -> None:
        self._append({"part": asdict(part), "at": at})

    def end(self, parts_of: list[int | None], *, at: str) -> None:
        """Says that every part of this shard is there."""
        self._append({"parts_of": parts_of, "at": at})

    def _append(self, line: Mapping[str, Any]) -> None:
        self._place.append(self._path, orjson.dumps(line) + b"\n")


def _as_json(value: Mapping[str, Any]) -> Any:
    """As it will be read back."""
    return orjson.loads(orjson.dumps(value))
