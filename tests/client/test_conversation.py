"""What a client asks, when it asks again, and when it gives up: decided without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pandas as pd
import pytest

from client.scripted import COLUMNS, Script, described, json_reply, predicted, refused
from penstock.client.calls import Line
from penstock.client.exchange import Ask, GatewayReply, Lost, Outcome
from penstock.client.retries import pause_before_retry, retry_after
from penstock.errors import (
    ConfigError,
    GatewayBusy,
    GatewayDenied,
    GatewayError,
    GatewayFault,
    GatewayTimeout,
    GatewayUnreachable,
    MalformedInput,
    ModelUnknown,
    RequestRefused,
)

GONE = Lost("connection refused")
CUT = Lost("server disconnected", sent=True)
LATE = Lost("timed out", sent=True, late=True)
NO_SUCH_PATH = refused(404, "This path does not exist.", "ENDPOINT_NOT_FOUND")


class TestTries:
    @pytest.mark.parametrize(
        ("outcome", "repeat", "again"),
        [
            (GONE, True, True),
            (GONE, False, True),
            (CUT, True, True),
            (CUT, False, False),
            (LATE, True, False),
            (GatewayReply(429), False, True),
            (GatewayReply(503), False, True),
            (GatewayReply(502), True, True),
            (GatewayReply(502), False, False),
            (GatewayReply(400), True, False),
            (GatewayReply(500), True, False),
            (GatewayReply(504), True, False),
        ],
    )
    def test_only_what_waiting_may_help_is_tried_again(self, outcome: Outcome, repeat: bool, again: bool) -> None:
        pause = pause_before_retry(outcome, 1, 60.0, 0.5, retries=5, repeat=repeat)
        assert (pause is not None) is again

    def test_pauses_double_and_are_spread_by_chance(self) -> None:
        pauses = [pause_before_retry(GONE, n, 60.0, 0.0, retries=9, repeat=True) for n in range(1, 9)]
        assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5]
        assert pause_before_retry(GONE, 1, 60.0, 0.5, retries=9, repeat=True) == pytest.approx(0.075)

    @pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.5, 5.0), (0.999, 6.0)])
    def test_who_is_told_when_to_come_back_comes_then_or_later(self, chance: float, seconds: float) -> None:
        pause = pause_before_retry(GatewayReply(429, {"retry-after": "4"}), 1, 60.0, chance, retries=1, repeat=True)
        assert pause == pytest.approx(seconds, abs=0.01)

    def test_a_pause_that_outlasts_the_deadline_is_none(self) -> None:
        busy = GatewayReply(429, {"retry-after": "4"})
        assert pause_before_retry(busy, 1, 4.0, 0.0, retries=5, repeat=True) is None
        assert pause_before_retry(busy, 6, 60.0, 0.0, retries=5, repeat=True) is None

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-1", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
    )
    def test_a_retry_after_is_seconds_or_a_date(self, text: str, seconds: float | None) -> None:
        assert retry_after(GatewayReply(503, {"retry-after": text})) == seconds
        now = datetime(2024, 1, 31, tzinfo=UTC)
        later = format_datetime(now + timedelta(seconds=9), usegmt=True)
        assert retry_after(GatewayReply(503, {"retry-after": later}), now) == 9.0


class TestPredictions:
    def test_the_server_is_asked_once_what_the_model_takes(self) -> None:
        script = Script([described(COLUMNS), predicted([1.5]), predicted([2.5])])
        talk = script.conversation(token="secret")
        for expected in ([1.5], [2.5]):
            assert script.run(talk.predict([{"a": 1}], model="m")).value == expected
        assert [f"{a.method} {a.path}" for a in script.asked] == [
            "GET /models/m/signature", "POST /models/m/invocations", "POST /models/m/invocations",
        ]  # fmt: skip
        assert {a.headers["Authorization"] for a in script.asked} == {"Bearer secret"}

    def test_the_default_model_has_paths_of_its_own(self) -> None:
        script = Script([described(), predicted([1])])
        made = script.run(script.conversation().predict([[1.0]], request_id="abc"))
        assert [a.path for a in script.asked] == ["/signature", "/invocations"]
        assert (made.value, made.model, made.version, made.request_id) == ([1], "m", "1", "abc")
        assert script.asked[1].headers["X-Request-Id"] == "abc"

    def test_names_are_quoted_in_paths(self) -> None:
        script = Script([described(), predicted([1])])
        script.run(script.conversation().predict([[1.0]], model="a/ü"))
        assert [a.path for a in script.asked] == ["/models/a%2F%C3%BC/signature", "/models/a%2F%C3%BC/invocations"]

    def test_another_version_is_looked_up_before_its_answer_is_read(self) -> None:
        newer = {**COLUMNS, "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}]}
        script = Script(
            [described(COLUMNS), predicted([1.5]), predicted([1.5], "2"), described(newer, "2"), predicted([1.5], "2")]
        )
        talk, frame = script.conversation(), pd.DataFrame({"a": [1.0]})
        kinds = [script.run(talk.predict(frame, model="m")).value.dtype.name for _ in range(3)]
        assert kinds == ["float64", "float32", "float32"]
        assert script.asked[3].path == "/models/m/versions/2/signature"

    def test_versions_that_take_turns_are_looked_up_once_each(self) -> None:
        script = Script([described(COLUMNS), predicted([1], "1"), predicted([1], "2"), described(COLUMNS, "2"),
                         predicted([1], "1"), predicted([1], "2"), predicted([1], "1")])  # fmt: skip
        talk = script.conversation()
        for _ in range(5):
            script.run(talk.predict([{"a": 1}], model="m"))
        assert script.outcomes == []

    def test_a_version_that_is_gone_when_it_is_looked_up_costs_no_answer(self) -> None:
        gone = refused(404, "Not loaded.", "RESOURCE_DOES_NOT_EXIST")
        script = Script([described(COLUMNS), predicted([1.5], "2"), gone])
        assert script.run(script.conversation().predict([{"a": 1}], model="m")).value == [1.5]

    def test_what_a_newer_version_refuses_is_written_for_it_and_sent_again(self) -> None:
        newer = {"inputs": [{"name": "a", "type": "long"}]}
        script = Script([described(COLUMNS), refused(400), described(newer, "2"), predicted([1], "2")])
        script.run(script.conversation().predict(pd.DataFrame({"a": [1]}), model="m"))
        bodies = [orjson.loads(a.body)["dataframe_split"]["data"] for a in script.asked if a.method == "POST"]
        assert str(bodies) == "[[[1.0]], [[1]]]"

    def test_what_the_same_version_refuses_is_the_callers_to_see(self) -> None:
        violations = [{"row": 3, "column": "a", "reason": "'x' is not a number (double)"}]
        no = json_reply(
            {"error_code": "BAD_REQUEST", "message": "No.", "violations": violations}, 400, x_request_id="r"
        )
        script = Script([described(COLUMNS), no, described(COLUMNS)])
        with pytest.raises(RequestRefused) as caught:
            script.run(script.conversation().predict([{"a": "x"}], model="m"))
        error = caught.value
        assert (error.status, error.error_code, error.message, error.request_id) == (400, "BAD_REQUEST", "No.", "r")
        assert [(v.row, v.column, v.reason) for v in error.violations] == [(3, "a", "'x' is not a number (double)")]
        assert str(error) == "No. (status 400 BAD_REQUEST, request r)"

    def test_a_server_without_signatures_is_asked_for_them_once(self) -> None:
        script = Script([NO_SUCH_PATH, predicted([1], ""), predicted([1], "")])
        talk = script.conversation()
        for _ in range(2):
            assert script.run(talk.predict(pd.DataFrame({"a": [1]}))).value.tolist() == [1]
        assert script.outcomes == []

    def test_a_model_that_is_not_served_is_said_at_once(self) -> None:
        script = Script([refused(404, "No model n.", "RESOURCE_DOES_NOT_EXIST")])
        with pytest.raises(ModelUnknown, match="No model n"):
            script.run(script.conversation().predict([1], model="n"))

    def test_params_stand_beside_the_rows(self) -> None:
        script = Script([described(), predicted([1]), predicted([1])])
        talk = script.conversation()
        script.run(talk.predict([[1]], {"limit": 2.5}))
        script.run(talk.predict({"messages": []}, {"temperature": 0.5}))
        assert orjson.loads(script.asked[1].body) == {"inputs": [[1]], "params": {"limit": 2.5}}
        assert orjson.loads(script.asked[2].body) == {"messages": [], "temperature": 0.5}
        with pytest.raises(MalformedInput, match="params must be a mapping"):
            script.run(talk.predict([[1]], [1]))  # type: ignore[arg-type]

    def test_an_answer_that_is_not_wrapped_is_the_value(self) -> None:
        script = Script([described(), json_reply({"choices": ["hi"]}), GatewayReply(200, {}, b"<html>")])
        talk = script.conversation()
        assert script.run(talk.predict({"messages": []})).value == {"choices": ["hi"]}
        with pytest.raises(GatewayFault, match="what is no prediction"):
            script.run(talk.predict({"messages": []}))

    def test_the_servers_timing_is_beside_the_answer(self) -> None:
        script = Script([described(), predicted([1], server_timing="decode;dur=0.5, queue;dur=1, odd")])
        assert script.run(script.conversation().predict([1])).timing == {"decode": 0.5, "queue": 1.0}


class TestDeadlines:
    def test_each_try_says_what_is_left_and_the_server_gives_up_first(self) -> None:
        busy = refused(503, retry_after="2")
        script = Script([described(), busy, predicted([1])], seconds=1.0)
        script.run(script.conversation(timeout=10.0).predict([1]))
        assert [a.seconds for a in script.asked] == [10.0, 9.0, 5.5]
        assert [float(a.headers["X-Request-Timeout"]) for a in script.asked] == [9.0, 8.1, 4.95]
        assert script.pauses == [2.5]

    def test_a_call_may_have_a_time_of_its_own(self) -> None:
        script = Script([described(), predicted([1])])
        script.run(script.conversation(timeout=10.0).predict([1], timeout=0.5))
        assert script.asked[0].seconds == 0.5

    def test_a_pause_too_long_for_the_deadline_is_not_begun(self) -> None:
        script = Script([described(), refused(429, "Full.", "REQUEST_LIMIT_EXCEEDED", retry_after="30")])
        with pytest.raises(GatewayBusy) as caught:
            script.run(script.conversation(timeout=5.0).predict([1]))
        assert (caught.value.retry_after, caught.value.tries, script.pauses) == (30.0, 1, [])

    def test_a_late_answer_is_a_timeout_of_ours_or_of_the_servers(self) -> None:
        for outcome in (LATE, refused(504, "Its deadline has passed.", "DEADLINE_EXCEEDED")):
            script = Script([described(), outcome])
            with pytest.raises(GatewayTimeout):
                script.run(script.conversation(timeout=5.0).predict([1]))

    def test_time_that_is_over_before_the_first_try_is_a_timeout(self) -> None:
        script = Script([described()], seconds=6.0)
        with pytest.raises(GatewayTimeout, match="did not answer before the deadline"):
            script.run(script.conversation(timeout=5.0).predict([1]))


class TestErrors:
    @pytest.mark.parametrize(
        ("outcome", "kind", "words"),
        [
            (refused(401, "A token."), GatewayDenied, "A token. Give the client the server's token."),
            (refused(403, "Not this."), GatewayDenied, "Not this."),
            (refused(413, "Too large."), RequestRefused, "Too large."),
            (refused(409, "Taken."), RequestRefused, "Taken."),
            (refused(500, "Internal."), GatewayFault, "Internal."),
            (GatewayReply(200 + 102, {"location": "https://x/"}), GatewayFault, "302 Found and leads to https://x/"),
            (GatewayReply(599, {}, b"<html>"), GatewayFault, "answers 599 without a message of a gateway's"),
            (GatewayReply(404, {}, b"[]"), ModelUnknown, "answers 404 Not Found without a message"),
            (GatewayReply(400, {}, b'{"message": 1}'), RequestRefused, "answers 400 Bad Request without"),
            (GONE, GatewayUnreachable, "There is no connection: http://gateway:80 (connection refused)"),
            (CUT, GatewayUnreachable, "The connection was lost: http://gateway:80 (server disconnected)"),
        ],
    )  # fmt: skip
    def test_each_outcome_has_its_error(self, outcome: Outcome, kind: type[GatewayError], words: str) -> None:
        script = Script([described(), outcome, described()])
        with pytest.raises(GatewayError) as caught:
            script.run(script.conversation(retries=0).predict([1]))
        assert type(caught.value) is kind
        assert words in str(caught.value)
        assert caught.value.request_id

    def test_the_last_of_many_tries_is_told_with_their_number(self) -> None:
        script = Script([described(), *[GONE] * 3])
        with pytest.raises(GatewayUnreachable, match="3 tries") as caught:
            script.run(script.conversation(retries=2).predict([1]))
        assert (caught.value.tries, caught.value.status, len(script.pauses)) == (3, None, 2)

    def test_violations_of_another_form_are_left_out(self) -> None:
        body = {"error_code": "X", "message": "No.", "violations": [1, {"row": "a", "column": [], "reason": 2}]}
        script = Script([described(), json_reply(body, 400), described()])
        with pytest.raises(RequestRefused) as caught:
            script.run(script.conversation().predict([1]))
        assert [(v.row, v.column, v.reason) for v in caught.value.violations] == [(None, None, "2")]


class TestReadiness:
    def test_health_is_what_the_server_says(self) -> None:
        loading = json_reply({"ready": False, "state": "loading", "waiting_for": ["m"]}, 503)
        script = Script([json_reply({"ready": True, "state": "ready", "waiting_for": []}), loading])
        talk = script.conversation()
        assert script.run(talk.health()).ready
        found = script.run(talk.health())
        assert (found.ready, found.state, found.waiting_for) == (False, "loading", ("m",))

    def test_health_of_an_mlflow_server_is_its_ping(self) -> None:
        script = Script([GatewayReply(404), GatewayReply(200, {}, b"\n")])
        assert script.run(script.conversation().health()).ready
        assert [a.path for a in script.asked] == ["/readyz", "/ping"]

    def test_waiting_goes_on_until_the_server_is_ready(self) -> None:
        loading = json_reply({"ready": False, "state": "loading", "waiting_for": ["m"]}, 503)
        script = Script([GONE, loading, loading, json_reply({"ready": True})])
        script.run(script.conversation().wait_until_ready())
        assert script.pauses == pytest.approx([0.075, 0.15, 0.3])

    def test_waiting_ends_with_what_the_server_said_last(self) -> None:
        loading = json_reply({"ready": False, "state": "loading", "waiting_for": ["m", "n"]}, 503)
        script = Script(answer=lambda _: loading)
        with pytest.raises(GatewayBusy, match="it is loading, and waits for m, n"):
            script.run(script.conversation().wait_until_ready(timeout=3.0))
        assert sum(script.pauses) < 3.0

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [(refused(401), GatewayDenied), (refused(404, "x", "RESOURCE_DOES_NOT_EXIST"), ModelUnknown)],
    )
    def test_waiting_for_what_does_not_change_ends_at_once(self, outcome: Outcome, kind: type[GatewayError]) -> None:
        script = Script([outcome])
        with pytest.raises(kind):
            script.run(script.conversation().wait_until_ready("m"))

    def test_models_and_descriptions_have_one_form(self) -> None:
        summary = {"name": "m", "ready": True, "version": "1", "alias": "production", "stale": False}
        script = Script([json_reply({"models": [summary], "default": "m"}), described(COLUMNS), json_reply([])])
        talk = script.conversation()
        (model,) = script.run(talk.models())
        assert (model.name, model.version, model.alias) == ("m", "1", "production")
        found = script.run(talk.describe("m"))
        assert (found.name, found.version, str(found.signature.inputs[0])) == ("m", "1", "a: double")
        with pytest.raises(GatewayFault, match="no form that this client knows"):
            script.run(talk.models())


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("localhost:8080", {}, "is no URL of a server"),
        ("ftp://x", {}, "begins with http:// or https://"),
        ("http://x/invocations", {}, "Give the part before /invocations"),
        ("http://x/?a=1", {}, "the URL of one request"),
        ("http://x", {"timeout": 0}, "timeout must be a number of seconds above 0"),
        ("http://x", {"timeout": float("nan")}, "timeout must be"),
        ("http://x", {"retries": -1}, "retries must be a number of tries"),
    ],
)
def test_what_cannot_be_is_said_when_a_client_is_made(url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Line(url, **options)
    assert words in str(caught.value)


def test_a_url_may_have_a_path_of_its_own() -> None:
    assert Line("https://company/ml/").url == "https://company/ml"


def test_what_is_asked_is_counted() -> None:
    script = Script([described(), GONE, predicted([1])])
    talk = script.conversation()
    script.run(talk.predict([1]))
    assert (
        repr(talk)
        == "<Conversation on <Line to http://gateway:80, 3 requests, 1 of them again>, <KnownVersions, 1 of 1 models>>"
    )
    assert isinstance(script.asked[0], Ask)
