"""The seal finds every change, and `sha256sum -c` agrees with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import PackageInvalid, SealBroken
from penstock.package import PackagedModel
from penstock.package.seal import SEAL, check_seal, digest_of, hash_files, list_files, write_seal
from penstock.package_file import SEAL_LIMIT


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A small sealed directory."""
    place = tmp_path / "package"
    (place / "code").mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}\n")
    (place / "model.bin").write_bytes(bytes(range(256)))
    (place / "code" / "my module é.py").write_text("x = 1\n")
    write_seal(place)
    return place


def check(directory: Path) -> None:
    check_seal(directory, hash_files(directory))


def test_a_sealed_directory_checks(directory: Path) -> None:
    check(directory)
    lines = (directory / SEAL).read_text().splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["MLmodel", "code/my module é.py", "model.bin"]


@pytest.mark.parametrize("name", ["MLmodel", "model.bin", "code/my module é.py"])
def test_one_flipped_byte_names_the_file(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(SealBroken, match=f"{name} has changed") as caught:
        check(directory)
    assert caught.value.message.count("has changed") == 1


def test_missing_and_added_files_are_named(directory: Path) -> None:
    (directory / "model.bin").unlink()
    (directory / "code" / "__pycache__").mkdir()
    (directory / "code" / "__pycache__" / "x.txt").write_bytes(b"")
    with pytest.raises(SealBroken, match=r"model\.bin is missing, code/__pycache__/x\.txt was added"):
        check(directory)


def test_many_changes_are_counted(directory: Path) -> None:
    for i in range(9):
        (directory / f"extra{i}").write_text("")
    with pytest.raises(SealBroken, match="extra4 was added and 4 more"):
        check(directory)


@pytest.mark.parametrize("seal", [b"garbage", b"\xff\xfe", b"0123 MLmodel\n", b""])
def test_a_damaged_seal_never_passes(directory: Path, seal: bytes) -> None:
    (directory / SEAL).write_bytes(seal)
    with pytest.raises(SealBroken):
        check(directory)


def test_without_a_seal_there_is_nothing_to_check_and_the_digest_is_the_same(directory: Path) -> None:
    sealed = digest_of(hash_files(directory))
    (directory / SEAL).unlink()
    check(directory)
    assert digest_of(hash_files(directory)) == sealed
    assert write_seal(directory) == sealed


def test_the_digest_is_that_of_the_seal_itself(directory: Path) -> None:
    import hashlib

    assert digest_of(hash_files(directory)) == hashlib.sha256((directory / SEAL).read_bytes()).hexdigest()


def test_the_digest_depends_on_content_and_names_alone(directory: Path, tmp_path: Path) -> None:
    before = digest_of(hash_files(directory))
    copy = Path(shutil.copytree(directory, tmp_path / "elsewhere"))
    os.utime(copy / "model.bin", (1, 1))
    (copy / "registered_model_meta").write_text("model_name: x\n")  # dropped there by MLflow 2.x clients
    assert digest_of(hash_files(copy)) == before
    (copy / "model.bin").rename(copy / "model2.bin")
    assert digest_of(hash_files(copy)) != before


@pytest.mark.parametrize("target", ["model.bin", "/etc/hostname", "nowhere", "code"])
def test_a_package_that_holds_a_link_is_refused(directory: Path, target: str) -> None:
    (directory / "link").symlink_to(target)
    with pytest.raises(PackageInvalid, match="holds a link, link"):
        list_files(directory)


def test_a_seal_that_is_a_link_is_refused(directory: Path) -> None:
    (directory / SEAL).rename(directory.parent / "seal")
    (directory / SEAL).symlink_to(directory.parent / "seal")
    with pytest.raises(PackageInvalid, match="link"):
        hash_files(directory)


def test_pipes_are_refused_without_being_read(directory: Path) -> None:
    os.mkfifo(directory / "pipe")
    with pytest.raises(PackageInvalid, match="not a regular file"):
        hash_files(directory)


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\rb", "a\x85b", "a\u2028b", "\x1b[31m", os.fsdecode(b"\xff")])
def test_names_that_a_seal_cannot_hold_are_refused(directory: Path, name: str) -> None:
    (directory / name).write_text("")
    with pytest.raises(PackageInvalid, match="unusable name") as caught:
        list_files(directory)
    str(caught.value).encode()  # it can be shown


def test_a_directory_that_cannot_be_listed_is_no_empty_package(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match="cannot be read"):
        hash_files(tmp_path / "absent")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_agrees_with_the_seal(directory: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sha256sum", "-c", "--strict", SEAL],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )

    good = run()
    assert good.returncode == 0, good.stderr
    assert good.stdout.count(": OK") == 3
    (directory / "model.bin").write_bytes(b"other")
    assert run().returncode != 0


@pytest.mark.parametrize("fixture", ["iris_package", "iris_onnx_package", "identity_onnx_package", "python_package"])
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_passes_for_packages_of_every_flavor(fixture: str, request: pytest.FixtureRequest) -> None:
    package = request.getfixturevalue(fixture)
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", SEAL], cwd=package, check=True)
    PackagedModel.open(package).verify()


def test_verify_reads_the_package_it_was_given(iris_package: Path, copied: Callable[[Path], Path]) -> None:
    place = copied(iris_package)
    package = PackagedModel.open(place)
    assert package.digest == PackagedModel.open(iris_package).digest
    assert package.sealed
    with (place / "model.skops").open("ab") as file:
        file.write(b"\x00")
    with pytest.raises(SealBroken, match=r"model\.skops has changed"):
        PackagedModel.open(place).verify()


def test_compiled_modules_that_another_program_left_are_named_and_no_part_of_the_package(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = digest_of(hash_files(directory))
    (directory / "code" / "__pycache__").mkdir()
    (directory / "code" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    check(directory)
    assert "not in its seal: 'code/__pycache__/x.pyc'" in caplog.text
    assert digest_of(hash_files(directory)) == before
    assert "code/__pycache__/x.pyc" not in list_files(directory)
    (directory / "code" / "other.py").write_text("")
    with pytest.raises(SealBroken, match="Fetch or package the model again"):
        check(directory)


def test_a_compiled_module_that_was_sealed_is_part_of_the_package(directory: Path) -> None:
    (directory / SEAL).unlink()
    (directory / "code" / "__pycache__").mkdir()
    (directory / "code" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    write_seal(directory)
    check(directory)
    (directory / "code" / "__pycache__" / "x.pyc").write_bytes(b"other")
    with pytest.raises(SealBroken, match=r"x\.pyc has changed"):
        check(directory)


@pytest.mark.parametrize("name", ["__pycache__/x.py", "x.pyc", "code/x.pyc", "__pycache__/deep/x.pyc"])
def test_what_only_looks_like_a_left_over_breaks_the_seal(directory: Path, name: str) -> None:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(b"")
    with pytest.raises(SealBroken, match="was added"):
        check(directory)


def test_a_seal_of_a_length_that_no_package_has_is_not_read(directory: Path) -> None:
    with (directory / SEAL).open("wb") as file:
        file.truncate(SEAL_LIMIT + 1)
    with pytest.raises(SealBroken, match="too large"):
        check(directory)
