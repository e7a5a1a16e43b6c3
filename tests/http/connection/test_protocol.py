"""Connections that do what no client should: endless heads, floods of requests, silence."""

from __future__ import annotations

import pytest

from penstock.http.connection.protocol import HEAD_SECONDS, MAX_AHEAD, MAX_HEAD_BYTES, REST_SECONDS, SWEEP_EVERY
from serving.fakes import settle
from support.wire import REQUEST, Talk


@pytest.mark.parametrize("start", [b"GET /" + b"x" * 1000, b"GET / HTTP/1.1\r\nX: " + b"y" * 100])
async def test_a_head_without_an_end_is_refused(start: bytes) -> None:
    talk = Talk()
    talk.protocol.data_received(start)
    for _ in range(MAX_HEAD_BYTES // 1000 + 2):
        if talk.wire.closed:
            break
        talk.protocol.data_received(b"z" * 1000)
    assert talk.wire.closed
    assert talk.wire.written.startswith(b"HTTP/1.1 431 ")
    assert talk.started == 0


async def test_large_bodies_do_not_count_as_heads() -> None:
    talk = Talk()
    talk.answer.set()
    talk.protocol.data_received(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n" + b"x" * 200_000)
    talk.protocol.data_received(b"x" * 100_000)
    talk.protocol.data_received(REQUEST)
    await settle()
    assert talk.wire.written.count(b"HTTP/1.1 200") == 2


async def test_requests_may_be_sent_ahead_up_to_a_limit() -> None:
    talk = Talk()
    talk.protocol.data_received(REQUEST * (MAX_AHEAD + 1))
    talk.answer.set()
    await settle(1000)
    assert talk.wire.written.count(b"HTTP/1.1 200") == MAX_AHEAD + 1
    assert not talk.wire.closed


async def test_a_flood_of_requests_ends_the_connection_after_those_that_there_was_room_for() -> None:
    talk = Talk()
    talk.protocol.data_received(REQUEST * 5000)
    assert len(talk.protocol.pipeline) <= MAX_AHEAD + 1
    talk.protocol.data_received(REQUEST)
    talk.answer.set()
    await settle(1000)
    assert talk.started == MAX_AHEAD + 1
    assert talk.wire.written.count(b"HTTP/1.1 ") == talk.wire.written.count(b"HTTP/1.1 200") == MAX_AHEAD + 1
    assert talk.wire.written.lower().count(b"connection: close") == 1
    assert talk.wire.closed


class TestSilentClients:
    async def test_before_the_first_request_the_keep_alive_time_counts(self) -> None:
        assert Talk(keep_alive=20).sweeps_until_closed() == 20 / SWEEP_EVERY + 1

    @pytest.mark.parametrize("before", [b"", REQUEST])
    async def test_within_a_head_they_are_closed_after_the_time_of_a_head(self, before: bytes) -> None:
        talk = Talk()
        talk.answer.set()
        talk.protocol.data_received(before)
        await settle()
        talk.protocol.data_received(b"POST /x HTTP/1.1\r\nHo")
        assert talk.sweeps_until_closed() == HEAD_SECONDS / SWEEP_EVERY + 1

    async def test_within_the_rest_of_an_answered_body_they_are_closed_after_its_time(self) -> None:
        talk = Talk()
        talk.answer.set()
        talk.protocol.data_received(REQUEST[:-2])
        await settle()
        talk.protocol.data_received(b"b")
        assert talk.sweeps_until_closed() == REST_SECONDS / SWEEP_EVERY + 1

    async def test_after_the_rest_of_an_answered_body_the_keep_alive_time_counts(self) -> None:
        """uvicorn's own timer is gone then."""
        talk = Talk(keep_alive=20)
        talk.answer.set()
        talk.protocol.data_received(REQUEST[:-2])
        await settle()
        talk.protocol.data_received(b"bc")
        assert talk.sweeps_until_closed() == 20 / SWEEP_EVERY + 1

    async def test_clients_that_wait_for_an_answer_are_left_alone(self) -> None:
        talk = Talk()
        talk.protocol.data_received(REQUEST)
        await settle()
        assert talk.sweeps_until_closed() == 0
        talk.answer.set()
        await settle()
        assert talk.sweeps_until_closed() == 0, "uvicorn has a timer for this"
        talk.protocol.connection_lost(None)
