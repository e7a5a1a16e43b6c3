"""Whose body is read next: fair between clients, small before large, and nobody waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.reader_process.queue import LARGE, MAX_WAITING, MAX_WAITING_OF_ONE, ReaderQueue, Waiting


def queue_of(readers: int, *waiting: Waiting) -> ReaderQueue:
    queue = ReaderQueue(readers)
    queue.waiting += waiting
    return queue


def test_a_small_body_goes_before_a_large_one_that_came_earlier() -> None:
    large, small = Waiting("a", 10 * LARGE, 0.0), Waiting("a", 10, 1.0)
    queue = queue_of(1, large, small)
    assert queue.take(1.0) is small
    assert queue.take(1.0) is None
    queue.finish(small, 0.01, 1.1)
    assert queue.take(1.1) is large


def test_one_reader_is_left_to_other_clients_and_to_small_bodies() -> None:
    first, second = Waiting("a", 10 * LARGE, 0.0), Waiting("a", 10, 0.0)
    other_large, other_small = Waiting("b", 5 * LARGE, 0.1), Waiting("b", 10, 0.2)
    queue = queue_of(2, first)
    assert queue.take(0.0) is first
    queue.waiting += [second, other_large, other_small]
    assert queue.take(0.2) is other_small
    queue.finish(other_small, 0.01, 0.3)
    assert queue.take(0.3) is None, (
        "the other large one would take the last reader, the second task is of the same client"
    )


def test_who_has_used_readers_least_goes_first() -> None:
    busy, quiet = Waiting("busy", 10, 0.0), Waiting("quiet", 20, 0.5)
    queue = queue_of(1, Waiting("busy", 10, 0.0))
    task = queue.take(0.0)
    assert task is not None
    queue.finish(task, 2.0, 0.4)
    queue.waiting += [busy, quiet]
    assert queue.take(0.5) is quiet


def test_what_has_been_used_is_forgotten_with_time() -> None:
    queue = queue_of(1, Waiting("busy", 10, 0.0))
    task = queue.take(0.0)
    assert task is not None
    queue.finish(task, 2.0, 2.0)
    small, large = Waiting("busy", 10, 100.0), Waiting("quiet", 20, 100.0)
    queue.waiting += [large, small]
    assert queue.take(100.0) is small


def test_what_has_waited_long_goes_first() -> None:
    late = Waiting("a", 50 * LARGE, 0.0)
    queue = queue_of(1, late, Waiting("b", 10, 9.9))
    assert queue.take(10.0) is late


def test_one_client_cannot_fill_the_queue() -> None:
    queue = queue_of(2, *(Waiting("a", 1, 0.0) for _ in range(MAX_WAITING_OF_ONE)))
    assert queue.refuses("a")
    assert not queue.refuses("b")
    queue.waiting += [Waiting(f"{n}", 1, 0.0) for n in range(MAX_WAITING - MAX_WAITING_OF_ONE)]
    assert queue.refuses("c")


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3 * LARGE), st.floats(0, 3)), max_size=40),
)
def test_everything_is_taken_once_and_never_more_at_once_than_there_are_readers(
    readers: int, tasks: list[tuple[str, int, float]]
) -> None:
    queue = queue_of(readers, *(Waiting(client, size, 0.0) for client, size, _ in tasks))
    seconds = [s for _, _, s in tasks]
    now, taken = 0.0, 0
    while queue.waiting or queue.running:
        while queue.take(now) is not None:
            taken += 1
            assert len(queue.running) <= readers
        now += 1.0
        queue.finish(queue.running[0], seconds.pop(), now)
    assert taken == len(tasks)
