from __future__ import annotations

import pytest
from answers import answered_rows, body_for, misfit
from extras import said
from ramp import Step, full, knee, table
from wrk import rate_in


def test_an_answer_fits_the_version_that_it_names() -> None:
    rows = [[1.0, 2.0]]
    assert misfit(rows, "1", {"predictions": {"y": [[1001.0, 1002.0]]}}) is None
    assert misfit(rows, "2", {"predictions": {"y": [[2001.0, 2002.0]]}}) is None
    assert "not its own" in str(misfit(rows, "2", {"predictions": {"y": [[1001.0, 1002.0]]}}))
    assert "not its own" in str(misfit(rows, "1", {"predictions": {"y": [[1001.0, 1002.0]] * 2}}))
    assert "version header" in str(misfit(rows, "", {}))


def test_bodies_follow_the_signature() -> None:
    table = body_for([{"name": "a"}, {"name": "b"}], 3)["dataframe_split"]
    assert table["columns"] == ["a", "b"]
    assert [len(row) for row in table["data"]] == [2, 2, 2]
    assert [len(row) for row in body_for([{"shape": [-1, 4]}], 2)["inputs"]] == [4, 4]


def test_rows_of_an_answer_are_counted() -> None:
    assert answered_rows({"predictions": [1, 2, 3]}) == 3
    assert answered_rows({"predictions": {"label": [0, 1], "probabilities": [[0.1], [0.2]]}}) == 2


def test_a_ramp_ends_when_two_doublings_bring_nothing() -> None:
    steps = [Step(1, 100, 10), Step(2, 190, 11), Step(4, 260, 16), Step(8, 262, 31)]
    assert not full(steps)
    assert full([*steps, Step(16, 255, 63)])
    assert not full([*steps, Step(16, 300, 63)])
    assert knee(steps) == steps[2]
    assert table([*steps, Step(16, 255, 63)]).endswith("full from 4 callers")
    assert table([]) == "callers  answers/s    p99 ms"


def test_locusts_json_is_read_among_other_lines() -> None:
    assert said('6 moves\n[{"num_requests": 3000, "num_failures": 1}]\nbye') == "3,000 requests, 1 failed"
    assert said("it broke") == "no figures"


def test_wrks_rate_is_found() -> None:
    assert rate_in("  Latency 2ms\nRequests/sec:  21974.63\n") == 21974.63
    with pytest.raises(ValueError, match="no rate"):
        rate_in("unable to connect")
