"""Files of packages that are read whole: regular ones, and none that is too long."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from penstock.errors import PackageInvalid
from penstock.package_file import read_package_file


def test_a_regular_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_package_file(file, 5) == b"12345"
    with pytest.raises(PackageInvalid, match="file is too large: 5 bytes, where 4 are allowed"):
        read_package_file(file, 4)


def test_what_is_not_there_is_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_package_file(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        read_package_file(tmp_path / "file" / "inner")


def test_a_pipe_a_folder_a_socket_and_links_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("pipe", "folder", "device", "link", "socket"):
            with pytest.raises(PackageInvalid, match=f"{name} is not a regular file"):
                read_package_file(tmp_path / name)


def test_no_file_stays_open_after_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(PackageInvalid):
            read_package_file(tmp_path / "file", 1)
    assert len(os.listdir("/proc/self/fd")) == before
