"""Errors between processes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import (
    ArtifactInvalid,
    CodeNotTrusted,
    Overloaded,
    PenstockError,
    PredictError,
    ProofFailed,
    SchemaViolation,
)
from penstock.flavors.python.mlflow_stubs.exceptions import CODES, MlflowException
from penstock.model_process.protocol.remote_errors import RemoteError, describe, rebuild
from penstock.payload import Violation
from penstock.server.statuses import status_of
from support.error_zoo import NAMES, zoo


@pytest.mark.parametrize("kind", [ArtifactInvalid, CodeNotTrusted, ProofFailed, PredictError, PenstockError])
def test_errors_come_back_as_their_class(kind: type[PenstockError]) -> None:
    back = rebuild(describe(kind("It is so.", hint="Do that.")))
    assert (type(back), back.message, back.hint) == (kind, "It is so.", "Do that.")


def test_the_traceback_of_the_cause_is_kept() -> None:
    try:
        try:
            raise KeyError("column")
        except KeyError as cause:
            raise PredictError("The model failed.") from cause
    except PredictError as error:
        back = rebuild(describe(error))
    assert isinstance(back.__cause__, RemoteError)
    assert "test_remote_errors.py" in str(back.__cause__)
    assert "KeyError: 'column'" in str(back.__cause__)


def test_codes_of_mlflows_errors_come_back() -> None:
    error = PredictError("The model failed.")
    error.__cause__ = MlflowException("not here", error_code=CODES["RESOURCE_DOES_NOT_EXIST"])
    assert status_of(rebuild(describe(error))) == status_of(error)
    assert status_of(error).http == 404


def test_violations_come_back_as_they_were() -> None:
    error = SchemaViolation([Violation("too long", 3, "a"), Violation("no", None, 7, True)], hint="Cut it.")
    back = rebuild(describe(error))
    assert isinstance(back, SchemaViolation)
    assert (back.violations, back.hint) == (error.violations, "Cut it.")


def test_an_unexpected_exception_comes_back_as_an_internal_error() -> None:
    back = rebuild(describe(ZeroDivisionError("by nothing")))
    assert type(back) is PenstockError
    assert "ZeroDivisionError: by nothing" in back.message


def test_a_process_cannot_make_up_what_is_the_gateways_to_say() -> None:
    assert type(rebuild(describe(Overloaded("Go away.")))) is PenstockError
    assert type(rebuild(json.dumps({"code": "closing", "message": "Gone.", "hint": ""}).encode())) is PenstockError


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000,
        b'{"code": 1, "message": "m", "hint": ""}',
        b'{"code": "predict", "message": "m", "hint": "", "cause": 5}',
        b'{"code": "predict", "message": "m", "hint": "", "cause": {}}',
        b'{"code": "schema_violation", "message": "m", "hint": "", "violations": [[1, 2, 3, 4]]}',
        b'{"code": "schema_violation", "message": "m", "hint": "", "violations": [["no", [], null, false]]}',
    ],
)  # fmt: skip
def test_text_that_is_no_error_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        rebuild(text)


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_error_of_a_model_travels_and_can_be_encoded(number: int, wrapped: bool) -> None:
    error = zoo()[number]
    told: BaseException = error
    if wrapped:
        told = PredictError("The model failed.")
        told.__cause__ = error
    back = rebuild(describe(told))
    str(back).encode()
    for text in (back.message, back.hint, str(back.__cause__)):
        assert len(text.encode()) < 100_000


@given(st.text(st.characters()), st.text(st.characters()))
def test_texts_of_any_process_are_made_encodable(message: str, hint: str) -> None:
    sent = json.dumps({"code": "predict", "message": message, "hint": hint, "cause": None}).encode()
    str(rebuild(sent)).encode()
