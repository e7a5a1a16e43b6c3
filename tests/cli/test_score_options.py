"""The options of `penstock score` in their groups."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.cli.score.command import _scoring_options, score
from penstock.cli.score.options import ScoreCommand
from penstock.scoring.file_formats import needed_format


def _given(*words: str) -> dict[str, Any]:
    given = dict(score.make_context("score", list(words)).params)
    del given["install_mlflow"]
    return given


def test_every_option_of_score_is_in_a_group() -> None:
    command = ScoreCommand.of(
        _given(
            "./model", "rows.csv", "-o", "scored/", "--keep", "id", "--shard", "2/8", "--max-errors", "1%",
            "--trust-code", "--json",
        )
    )  # fmt: skip
    assert command.words == ("./model", "rows.csv")
    assert (command.files.output, command.rows.keep, command.rows.on_error) == ("scored/", "id", "fail")
    assert (command.job.shard, command.job.max_errors, command.job.workers) == ("2/8", "1%", "auto")
    assert command.model.load_options(threads=1).trust_code
    assert command.like_mlflow.model_uri is None
    assert command.as_json


def test_join_is_keeping_all_and_keep_names_what_is_not_given_to_the_model() -> None:
    format_ = needed_format("out.csv", None, "")
    for words, keep in (
        (("--join",), ("*",)),
        (("--join", "--keep", "id"), ("*", "id")),
        (("--keep", "id,a"), ("id", "a")),
    ):
        command = ScoreCommand.of(_given("./model", "rows.csv", *words))
        assert _scoring_options(command.rows, format_).keep == keep


def test_an_option_without_a_group_is_an_error() -> None:
    with pytest.raises(TypeError, match="unheard_of"):
        ScoreCommand.of(_given("./model", "rows.csv") | {"unheard_of": 1})
