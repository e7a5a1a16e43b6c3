"""What was given to `penstock score`, in groups, for the files that carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from penstock.assembly.environments import FindInterpreter
    from penstock.loading import LoadOptions

G = TypeVar("G")


@dataclass(frozen=True)
class ModelFlags:
    """Where the model is found, and how it is loaded."""

    registry: str | None
    trust_code: bool
    strict_env: bool
    env_manager: str
    wheels: str | None

    def load_options(self, threads: int = 0) -> LoadOptions:
        from penstock.loading import LoadOptions

        return LoadOptions(trust_code=self.trust_code, strict_env=self.strict_env, threads=threads)

    def environment(self) -> FindInterpreter | None:
        from penstock.assembly.environments import own_environment

        return own_environment(self.env_manager, self.wheels, trust_code=self.trust_code, strict_env=self.strict_env)


@dataclass(frozen=True)
class FileFlags:
    """Where the job writes, and the formats that file extensions do not tell."""

    output: str | None
    input_format: str | None
    output_format: str | None
    rejects: str | None


@dataclass(frozen=True)
class RowFlags:
    """What becomes of the rows: all that shapes the output."""

    keep: str | None
    join: bool
    params: str | None
    on_error: str
    lineage: str
    limit: int | None
    part_rows: int


@dataclass(frozen=True)
class JobFlags:
    """How this run carries the job out."""

    workers: str
    resume: bool
    shard: str | None
    max_errors: str | None


@dataclass(frozen=True)
class LikeMlflowFlags:
    """The model and its input as `mlflow models predict` takes them."""

    model_uri: str | None
    input_path: str | None
    content_type: str | None


@dataclass(frozen=True)
class ScoreCommand:
    """What was given on the command line. `finish`, `dry_run` and `verify_against` say what is done besides scoring, or
    instead."""

    words: tuple[str, ...]
    model: ModelFlags
    files: FileFlags
    rows: RowFlags
    job: JobFlags
    like_mlflow: LikeMlflowFlags
    finish: bool
    dry_run: bool
    verify_against: str | None
    as_json: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ScoreCommand:
        """From click's values by name; each group takes those that its fields name. Raises TypeError for a value that
        no group takes."""
        left = dict(given)
        return cls(
            model=_taken(ModelFlags, left),
            files=_taken(FileFlags, left),
            rows=_taken(RowFlags, left),
            job=_taken(JobFlags, left),
            like_mlflow=_taken(LikeMlflowFlags, left),
            **left,
        )


def _taken(group: type[G], left: dict[str, Any]) -> G:
    """The group, made of its values, which `left` then no longer has."""
    return group(**{field.name: left.pop(field.name) for field in fields(group)})  # type: ignore[arg-type]
