"""Errors as answers: the status of the table, the one body, and when to come back."""

from __future__ import annotations

import json

import pytest

from penstock.errors import ModelNotServed, ModelProcessLost, Overloaded, PenstockError
from penstock.http.errors import CLOSE
from penstock.server.statuses import answer_of, retry_after_of


def test_an_answer_has_the_status_and_the_body_of_its_error() -> None:
    answer = answer_of(ModelNotServed("This server has no model with that name."))
    assert (answer.status, answer.headers) == (404, ())
    assert json.loads(answer.content) == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": "This server has no model with that name.",
    }


@pytest.mark.parametrize(
    ("error", "status", "seconds"),
    [(Overloaded("full", limit="rows", retry_after=3), 429, 3), (ModelProcessLost("gone"), 503, 1)],
)
def test_errors_that_pass_say_when_to_come_back(error: PenstockError, status: int, seconds: int) -> None:
    answer = answer_of(error, CLOSE)
    assert (answer.status, answer.headers) == (status, (CLOSE, (b"retry-after", b"%d" % seconds)))
    assert retry_after_of(error) == seconds


def test_our_own_faults_stay_in_the_log() -> None:
    answer = answer_of(ValueError("a secret"))
    assert answer.status == 500
    assert b"secret" not in answer.content
