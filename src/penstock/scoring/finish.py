"""After the shards: whether every part is there, the rejects of all in one file, and `_SUCCESS`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from shutil import copyfileobj

from penstock.errors import ScoringError, remedy
from penstock.scoring.commit import SUCCESS, JobState, PartDone, parse_manifest
from penstock.scoring.plan import Shard, differences
from penstock.scoring.write.sinks import rejects_of
from penstock.storage.files import file_store_of, join


@dataclass(frozen=True, slots=True)
class Finished:
    """What all shards did together."""

    shards: int
    parts: int
    rows_in: int
    rows_out: int
    rejects: int


def finish(directory: str, rejects: str | None = None) -> Finished:
    """Checks that all shards are complete and every part is in its place, then writes `_SUCCESS`.

    Raises ScoringError, which names the shards or parts that are missing.
    """
    place = file_store_of(directory)
    found = place.matches(join(directory, "_manifest-*-of-*.jsonl"))
    if not found:
        raise ScoringError(
            f"No shard has begun in {directory}.",
            hint="Run each shard with this directory as the output.",
            remedy=remedy("run_shards"),
        )
    states = {path.rsplit("/", 1)[-1]: parse_manifest(place.read(path)) for path in found}
    count = int(next(iter(states)).rsplit("-", 1)[-1].split(".")[0])
    parts = _all_parts([states.get(Shard(i, count).manifest) for i in range(count)], directory)
    for part in parts:
        there = place.describe(join(directory, part.file))
        if there is None or there[0] != part.bytes:
            raise ScoringError(
                f"{part.file} in {directory} is missing or was changed.", hint="Score into another directory."
            )
    write_rejects(directory, parts, rejects)
    with place.written(join(directory, SUCCESS)) as path:
        path.write_bytes(b"")
    return Finished(
        count, len(parts), sum(p.rows_in for p in parts), sum(p.rows_out for p in parts), sum(p.rejects for p in parts)
    )


def _all_parts(states: list[JobState | None], directory: str) -> list[PartDone]:
    """The parts of all shards in order. Raises ScoringError where one is missing."""
    open_ = [f"{i}/{len(states)}" for i, state in enumerate(states) if state is None or not state.complete]
    if open_:
        raise ScoringError(
            f"These shards are not complete: {', '.join(open_)}.",
            hint="Resume each of them.",
            remedy=remedy("resume_shards"),
        )
    whole = [state for state in states if state is not None]
    for number, state in enumerate(whole[1:], 1):
        if different := differences(whole[0].fingerprint, state.fingerprint):
            raise ScoringError(f"Shard {number} ran a different job than shard 0: {'; '.join(different[:5])}.")
    parts = sorted((part for state in whole for part in state.parts), key=lambda p: (p.source, p.part))
    there = [(part.source, part.part) for part in parts]
    wanted = [(source, part) for source, n in enumerate(_parts_of(whole)) for part in range(n)]
    if there != wanted:
        raise ScoringError(
            f"{len(set(wanted) - set(there))} parts in {directory} are missing, although all shards have finished."
        )
    return parts


def _parts_of(states: list[JobState]) -> list[int]:
    """How many parts each source has, as the shards that read it found. Raises ScoringError where they differ."""
    parts = []
    for source, parts_seen in enumerate(zip(*(state.parts_of or () for state in states), strict=True)):
        counts = {count for count in parts_seen if count is not None}
        if len(counts) > 1:
            raise ScoringError(f"The shards found different parts in input {source}. Did the input change meanwhile?")
        parts.append(counts.pop() if counts else 0)
    return parts


def write_rejects(directory: str, parts: Iterable[PartDone], target: str | None) -> None:
    """The rejects of all parts, in order, as one file where one was asked for."""
    if target is None:
        return
    source = file_store_of(directory)
    with file_store_of(target).written(target) as path, path.open("wb") as file:
        for part in parts:
            if part.rejects:
                with source.open(join(directory, rejects_of(part.file))) as rejects:
                    copyfileobj(rejects, file)
