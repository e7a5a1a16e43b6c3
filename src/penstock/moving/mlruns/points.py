"""Points out of the files of metrics: a line for each, `timestamp value step`, and perhaps a dataset."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice

from penstock.moving.mlruns.layout import lines_of, why_no_file
from penstock.moving.mlruns.places import Place, UnreadableError, files_of
from penstock.moving.records import Broken, PointBlock, SourceRun
from penstock.tracking.metrics import Points

# Points of one series that are held at once.
_BLOCK = 100_000
_LEAST_FIELDS = 2


def read_points(places: dict[str, Place], runs: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
    """`places` are the directories of runs by their ids."""
    for each in runs:
        run_id = each.run.run_id
        for key, path in files_of(places[run_id] / "metrics"):
            try:
                yield from _read_series(run_id, key, path)
            except (OSError, UnreadableError) as error:
                yield Broken("metric points", f"{run_id}/{key}"[:300], why_no_file(error))


def _read_series(run_id: str, key: str, path: Place) -> Iterator[PointBlock | Broken]:
    with path.opened() as file:
        given = lines_of(file)
        while lines := list(islice(given, _BLOCK)):
            # The file store keeps what was logged twice; MLflow's databases and the hub do not.
            different = list(dict.fromkeys(line.rstrip(b"\n") for line in lines))
            if len(different) < len(lines):
                why = "it was logged more than once: counted and kept once"
                yield Broken("metric points", f"{run_id}/{key}"[:300], why, len(lines) - len(different), kept=True)
            points, broken = _points(different)
            if len(points):
                yield PointBlock(run_id, key, points)
            if broken:
                why = "its line is no timestamp, value and step"
                yield Broken("metric points", f"{run_id}/{key}"[:300], why, broken)


def _points(lines: Sequence[bytes]) -> tuple[Points, int]:
    """And how many of the lines are none."""
    import numpy as np

    steps, timestamps, values = array("q"), array("q"), array("d")
    broken = 0
    for line in lines:
        fields = line.split()
        try:
            # The first releases wrote no step.
            step = int(fields[2]) if len(fields) > _LEAST_FIELDS else 0
            timestamp, value = int(fields[0]), float(fields[1])
            timestamps.append(timestamp)
        except (IndexError, ValueError, OverflowError):
            broken += 1
            continue
        try:
            steps.append(step)
        except OverflowError:
            timestamps.pop()
            broken += 1
            continue
        values.append(value)
    kept = np.array(values)
    np.nan_to_num(kept, copy=False, nan=np.nan)  # infinities as MLflow's database keeps them
    whole, times = np.array(steps), np.array(timestamps)
    order = np.lexsort((kept, times, whole))
    points = Points(
        array("q", whole[order].tobytes()), array("q", times[order].tobytes()), array("d", kept[order].tobytes())
    )
    return points, broken
