"""Which files and folders may come along as a package's code, and which are refused before anything is copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from penstock.errors import PackagingFailed
from penstock.package.needs import own_code
from penstock.package.needs.own_code import check_code, copy_code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A module, a package with a package in it, and what lies about in such places."""
    files = {
        "features.py": "X = 1\n",
        "churn/__init__.py": "from .steps import clip\n",
        "churn/steps/__init__.py": "from ..words import WORDS\n\n\ndef clip(x):\n    return x\n",
        "churn/words.py": "WORDS = open(__file__.replace('words.py', 'words.txt')).read().split()\n",
        "churn/words.txt": "one two\n",
        "churn/__pycache__/words.cpython-311.pyc": "",
        "churn/words.pyc": "",
        "churn/.ipynb_checkpoints/words-checkpoint.py": "def (",
        "churn/.DS_Store": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def copied(modules: dict[str, Path], place: Path) -> list[str]:
    copy_code(modules, place)
    return sorted(file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file())


def test_files_and_folders_are_copied_as_mlflow_lays_them_out(project: Path, tmp_path: Path) -> None:
    modules = check_code([project / "features.py", project / "churn", project / "churn" / "words.txt"])
    assert list(modules) == ["features", "churn", "words.txt"]
    assert copied(modules, tmp_path / "code") == [
        "churn/__init__.py",
        "churn/steps/__init__.py",
        "churn/words.py",
        "churn/words.txt",
        "features.py",
        "words.txt",
    ]


def test_links_bring_what_they_point_to(project: Path, tmp_path: Path) -> None:
    shared = tmp_path / "elsewhere"
    shared.mkdir()
    (shared / "v2.py").write_text("Y = 2\n")
    (project / "shared.py").symlink_to(shared / "v2.py")
    (project / "churn" / "more").symlink_to(shared)
    made = copied(check_code([project / "shared.py", project / "churn"]), tmp_path / "code")
    assert {"shared.py", "churn/more/v2.py"} <= set(made)
    assert not any(path.is_symlink() for path in (tmp_path / "code").rglob("*"))


@pytest.mark.parametrize(
    ("prepare", "given", "why"),
    [
        (None, "gone.py", "gone.py does not exist"),
        (None, "churn/__init__.py", "is a part of a package"),
        (lambda p: (p / "churn" / "up").symlink_to(p / "churn"), "churn", "leads back to a folder that it is in"),
        (lambda p: (p / "churn" / "gone.py").symlink_to(p / "nowhere"), "churn", "or a link to nothing"),
        (lambda p: (p / "features-v2.py").touch(), "features-v2.py", "'features-v2' is no identifier"),
        (lambda p: (p / "random.py").touch(), "random.py", "a module of Python's standard library, 'random'"),
        (lambda p: (p / "yaml.py").touch(), "yaml.py", "PyYAML, which Penstock itself uses"),
        (lambda p: (p / "penstock_loader.py").touch(), "penstock_loader.py", "a module of Penstock"),
        (lambda p: (p / "churn" / "bad.py").write_text("def ("), "churn", "bad.py is not valid Python"),
        (lambda p: (p / "data").mkdir(), "data", "holds no Python file"),
        (lambda p: os.mkfifo(p / "churn" / "pipe"), "churn", "is no regular file"),
    ],
)
def test_what_cannot_be_imported_by_its_name_is_refused(
    project: Path, prepare: Callable[[Path], object] | None, given: str, why: str
) -> None:
    if prepare is not None:
        prepare(project)
    with pytest.raises(PackagingFailed) as raised:
        check_code([project / given])
    assert why in str(raised.value)


@pytest.mark.parametrize("name", [".venv", "env"])
def test_a_virtual_environment_never_comes_along(project: Path, name: str) -> None:
    (project / "churn" / name).mkdir()
    (project / "churn" / name / "pyvenv.cfg").touch()
    with pytest.raises(PackagingFailed, match="holds a virtual environment"):
        check_code([project / "churn"])


def test_the_folder_one_works_in_is_refused_with_the_modules_in_it(project: Path) -> None:
    with chdir(project), pytest.raises(PackagingFailed, match=r"Name the modules .*: 'churn', 'features.py'"):
        check_code(["."])
    with chdir(project / "churn"):
        assert list(check_code(["."])) == ["churn"]


def test_a_folder_with_more_than_code_in_it_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_code, "MOST_BYTES", 1000)
    check_code([project / "churn"])
    (project / "churn" / "table.bin").write_bytes(bytes(1000))
    with pytest.raises(PackagingFailed, match="more than 2,000 files or"):
        check_code([project / "churn"])


def test_one_name_has_one_module(project: Path) -> None:
    (project / "features").mkdir()
    (project / "features" / "one.py").touch()
    with pytest.raises(PackagingFailed, match="Two files would have the name 'features'"):
        check_code([project / "features.py", project / "features"])
