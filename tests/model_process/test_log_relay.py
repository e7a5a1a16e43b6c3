"""What a model prints, bounded."""

from __future__ import annotations

from penstock.model_process.program.log_relay import LogRelay


def test_lines_pass_as_they_are() -> None:
    output = LogRelay(0.0)
    assert output.add(b"one\ntw", 0.0) == b"one\n"
    assert output.add(b"o\nthree", 0.1) == b"two\n"
    assert output.last() == b"three\n"


def test_a_flood_is_counted_and_told_once_a_second() -> None:
    output = LogRelay(0.0, burst=10, rate=1.0)
    assert output.add(b"line\n" * 25, 0.0) == b"line\n" * 10
    assert output.add(b"line\n" * 100, 0.1) == b""
    assert output.due(0.5) == b""
    assert 0 < (output.timeout(0.5) or 0) <= 0.5
    assert output.due(1.0) == b"(115 lines left out)\n"
    assert output.timeout(1.0) is None
    assert output.due(2.0) == b""


def test_the_right_to_speak_comes_back_with_time() -> None:
    output = LogRelay(0.0, burst=2, rate=1.0)
    output.add(b"a\nb\nc\n", 0.0)
    assert output.add(b"d\n", 0.5) == b""
    assert output.add(b"e\nf\ng\n", 60.0) == b"e\nf\n"
    assert output.last() == b"(3 lines left out)\n"


def test_an_endless_line_is_cut() -> None:
    output = LogRelay(0.0)
    for _ in range(100):
        output.add(b"x" * 1000, 0.0)
    assert len(output.add(b"end\n", 0.0)) <= 4001
