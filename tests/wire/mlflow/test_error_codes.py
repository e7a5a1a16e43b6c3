"""Which exceptions say what kind of answer they ask for."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.wire.mlflow.error_codes import error_code_of


class MlflowException(Exception):
    """Found by its name, since MLflow's own and the stand-in are two classes."""

    def __init__(self, error_code: Any) -> None:
        self.error_code = error_code


class OfAnApplication(MlflowException):
    pass


@pytest.mark.parametrize("kind", [MlflowException, OfAnApplication])
def test_mlflows_exception_and_those_made_from_it_have_a_code(kind: type[MlflowException]) -> None:
    assert error_code_of(kind("RESOURCE_DOES_NOT_EXIST")) == "RESOURCE_DOES_NOT_EXIST"
    assert error_code_of(kind(404)) is None


def test_other_exceptions_have_no_code() -> None:
    class Foreign(Exception):
        error_code = "RESOURCE_DOES_NOT_EXIST"

    assert error_code_of(Foreign()) is None
    assert error_code_of(None) is None
