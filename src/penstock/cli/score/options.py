"""What was given to `penstock score`, for the files that carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.assembly.environments import FindInterpreter


@dataclass(frozen=True)
class ScoreCommand:
    """What was given on the command line."""

    words: tuple[str, ...]
    output: str | None
    input_format: str | None
    output_format: str | None
    keep: str | None
    params: str | None
    on_error: str
    rejects: str | None
    max_errors: str | None
    lineage: str
    workers: str
    resume: bool
    shard: str | None
    finish: bool
    limit: int | None
    part_rows: int
    dry_run: bool
    verify_against: str | None
    registry: str | None
    trust_code: bool
    strict_env: bool
    as_json: bool
    model_uri: str | None
    input_path: str | None
    content_type: str | None
    env_manager: str
    wheels: str | None


def environment_of(command: ScoreCommand) -> FindInterpreter | None:
    from penstock.assembly.environments import own_environment

    return own_environment(
        command.env_manager, command.wheels, trust_code=command.trust_code, strict_env=command.strict_env
    )
