"""Connections for which no file is left: told so, logged now and then, survived."""

from __future__ import annotations

import logging

import pytest

from penstock.http.connection.file_limit import FileLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_last_files_are_kept_for_the_server_itself() -> None:
    files = FileLimit(limit=lambda: 1024)
    assert not files.refuses(1024 - 65)
    assert files.refuses(1024 - 64)


def test_of_a_small_limit_a_quarter_is_kept() -> None:
    files = FileLimit(limit=lambda: 64)
    assert not files.refuses(47)
    assert files.refuses(48)


def test_half_of_the_kept_files_are_for_refused_connections_to_stay_a_moment() -> None:
    files = FileLimit(limit=lambda: 1024)
    assert files.may_stay(1024 - 33)
    assert not files.may_stay(1024 - 32)


def test_refusals_are_logged_once_a_minute_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    files = FileLimit(limit=lambda: 64, now=clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(100):
            files.refuses(60)
        assert len(caplog.messages) == 1
        assert "may open 64 files" in caplog.messages[0]
        clock.now = 61
        files.refuses(60)
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("100 connections refused")
