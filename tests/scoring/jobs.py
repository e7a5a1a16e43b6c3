"""A scoring job in one call, for tests, and a model that waits, so that a job can be met at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from penstock.loading import LoadedModel, LoadOptions
from penstock.package.save import save_model
from penstock.scoring import (
    JobControl,
    JobLineage,
    JobOptions,
    JobOutput,
    Progress,
    ScoringOptions,
    ScoringPlan,
    Shard,
    Summary,
    Tolerance,
    find_sources,
    prepare,
    run,
)
from penstock.scoring.file_formats import needed_format
from penstock.signature import conform_params


def stopped_after(times: int) -> Callable[[], bool]:
    """Answers False so many times, then True: whether a job is to stop."""
    asked = count()
    return lambda: next(asked) >= times


def score(
    model: LoadedModel,
    inputs: Sequence[Path | str] | Path,
    target: Path | str,
    *,
    params: dict[str, Any] | None = None,
    input_format: str | None = None,
    output_format: str | None = None,
    rejects: Path | None = None,
    shard: Shard | None = None,
    resume: bool = False,
    workers: str | int = 1,
    tolerance: Tolerance | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
    load: LoadOptions | None = None,
    **shaping: Any,
) -> Summary:
    """Plans, prepares and runs. `shaping` are fields of `Options`; a target that ends with / is a directory."""
    paths = [inputs] if isinstance(inputs, Path) else inputs
    sources = find_sources([str(path) for path in paths], input_format)
    format_ = needed_format(str(target), output_format, "--output-format")
    given = conform_params(model.signature.params if model.signature else (), params)
    plan = ScoringPlan(
        JobLineage("model", "1", model.digest),
        sources,
        ScoringOptions(format_, **shaping),
        given,
        shard.count if shard else 1,
    )
    load = load or LoadOptions(threads=1)
    return run(
        prepare(plan, model, load),
        JobOutput(str(target), str(target).endswith("/"), rejects=str(rejects) if rejects else None),
        JobOptions(shard or Shard(), resume, workers, tolerance or Tolerance()),
        JobControl(on_progress=on_progress, stopped=stopped),
        now=lambda: "2026-01-01T00:00:00+00:00",
    )


def files(directory: Path) -> dict[str, bytes]:
    """What a job left, but for its manifests, which hold times."""
    return {p.name: p.read_bytes() for p in directory.iterdir() if not p.name.startswith("_manifest")}


_WAITING = """
import os
import time


def predict(inputs, params):
    deadline = time.monotonic() + 60
    while inputs["a"].max() >= 100 and not os.path.exists({go!r}) and time.monotonic() < deadline:
        time.sleep(0.005)
    return inputs["a"].to_numpy()
"""


def waiting_package(place: Path) -> tuple[Path, Path]:
    """A package in a directory of its own that answers with its column `a`, and a file that is not there. Rows from 100
    on are answered when it is."""
    place.mkdir()
    source, go = place / "waiting.py", place / "go"
    source.write_text(_WAITING.format(go=str(go)), encoding="utf-8")
    return save_model(source, place / "package", example=pd.DataFrame({"a": [1.0, 2.0]})).path, go
