"""Waits for a server that does not answer: each ends by itself, and one that is answered costs nobody anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from penstock.sql.answer_watch import AnswerWatch, Watched


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def test_a_connection_without_an_answer_is_ended() -> None:
    watch = AnswerWatch(0.05)
    for _ in range(2):  # the thread goes on after the first
        ours, theirs = socket.socketpair()
        with ours, theirs, watch.over(ours.fileno()) as waiting:
            ours.settimeout(10)
            assert ours.recv(1) == b""
        assert waiting.given_up


def test_the_first_wait_ends_first(ends: tuple[socket.socket, socket.socket]) -> None:
    watch = AnswerWatch(0.2)
    other, far = socket.socketpair()
    with other, far, watch.over(ends[0].fileno()) as first, watch.over(other.fileno()) as second:
        assert ends[0].recv(1) == b""
        assert (first.given_up, second.deadline >= first.deadline) == (True, True)


def test_what_is_answered_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    watch = AnswerWatch(0.05)
    for _ in range(100):
        with watch.over(ends[0].fileno()) as waiting:
            pass
    with watch.over(ends[1].fileno()):
        assert ends[1].recv(1) == b""  # by now the others' time is over, too
    assert (waiting.given_up, repr(watch)) == (False, "<AnswerWatch: 0 waits of at most 0.05 s>")


def test_one_thread_watches_all_and_ends_with_the_database(ends: tuple[socket.socket, socket.socket]) -> None:
    before = set(threading.enumerate())
    watch = AnswerWatch(60)
    for _ in range(3):
        with watch.over(ends[0].fileno()), watch.over(ends[1].fileno()):
            (thread,) = set(threading.enumerate()) - before
    watch.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_child_process_ends_nothing_that_its_parent_waits_for(ends: tuple[socket.socket, socket.socket]) -> None:
    """Of a fork the child has the waits, and not the thread; its sockets are the parent's."""
    watch = AnswerWatch(0.05)
    watch._waits[Watched(ends[0].fileno(), 0.0)] = None
    other, far = socket.socketpair()
    with other, far, watch.over(other.fileno()):
        assert other.recv(1) == b""
    ends[1].sendall(b"an answer")
    assert ends[0].recv(9) == b"an answer"
