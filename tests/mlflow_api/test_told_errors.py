"""Errors of ours in an answer: what comes back as what it was, and what a server may not make of it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.cli.remedies import hint_of
from penstock.errors import (
    PenstockError,
    RegistryFull,
    SearchInvalid,
    TrackingInvalid,
    VersionInUse,
    VersionNotFound,
    remedy,
)
from penstock.mlflow_api.told_errors import TOLD, error_told, told_form
from penstock.registry.refusals import no_alias, no_model, no_version


@pytest.mark.parametrize(
    "error",
    [
        no_model("fraud"),
        no_version("fraud", "3"),
        no_alias("fraud", "canary", ["production"]),
        VersionInUse("It is.", hint="Move it.", remedy=remedy("remove_alias", model="a; rm x", alias="production")),
        RegistryFull("There is no room.", hint="Make some."),
    ],
)
def test_an_error_comes_back_with_its_class_words_and_remedy(error: PenstockError) -> None:
    told = error_told({"error_code": "X", TOLD: told_form(error)})
    assert told is not None
    assert (type(told), told.message, told.hint, told.remedy) == (type(error), error.message, error.hint, error.remedy)
    assert hint_of(told, ["registry"]) == hint_of(error, ["registry"])


@pytest.mark.parametrize("kind", [SearchInvalid, TrackingInvalid])
def test_the_field_at_fault_comes_along(kind: type[SearchInvalid] | type[TrackingInvalid]) -> None:
    told = error_told({TOLD: told_form(kind("It cannot be read.", field="order_by"))})
    assert isinstance(told, kind)
    assert told.field == "order_by"


@pytest.mark.parametrize(
    "told_remedy",
    [
        {"key": "trust_code", "names": {}},
        {"key": "show_model", "names": {}},
        {"key": "show_model", "names": {"model": "m", "at": " --registry http://elsewhere"}},
        {"key": ["show_model"], "names": {"model": "m"}},
        "show_model",
    ],
)
def test_a_server_names_no_commands_but_those_of_registries(told_remedy: Any) -> None:
    form = {"code": "version_not_found", "message": "It is not.", "hint": "Look.", "remedy": told_remedy}
    told = error_told({TOLD: form})
    assert isinstance(told, VersionNotFound)
    assert hint_of(told, ["registry"]) == "Look."


@pytest.mark.parametrize("answer", [{}, {TOLD: None}, {TOLD: "x"}, {TOLD: []}])
def test_an_answer_without_an_error_of_ours_has_none(answer: dict[str, Any]) -> None:
    assert error_told(answer) is None


def test_an_unknown_code_is_an_error_all_the_same() -> None:
    told = error_told({TOLD: {"code": "of another release", "message": 7}})
    assert type(told) is PenstockError
    assert told.message == ""
