"""The house's style, where a machine can hold it: names, sizes, and that the tour of the code names what exists."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "penstock"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
SAYS_NO_SUBJECT = {"nor", "so", "some", "that", "those", "unless", "whose"}
SAYS_NOTHING = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

RECORDED = {"mlflow_packages", "packages"}  # as their authors named their files
TESTS = [file for file in sorted((ROOT / "tests").rglob("*.py")) if not RECORDED & set(file.parts)]
MIN_WORDS = 3  # fewer make no sentence

# Classes that bear the names of MLflow's, since pickles and model files ask for them.
STUBS = SOURCE / "flavors" / "python" / "mlflow_stubs"


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def classes() -> dict[str, list[str]]:
    """Name of every public class -> the files that define it."""
    found = defaultdict(list)
    for file in FILES:
        if not file.is_relative_to(STUBS):
            for node in ast.walk(parsed(file)):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(file.relative_to(SOURCE)))
    return found


def test_no_public_class_name_occurs_twice() -> None:
    assert {name: files for name, files in classes().items() if len(files) > 1} == {}


def test_no_class_is_called_just_model() -> None:
    assert "Model" not in classes()


@pytest.mark.parametrize("folder", ["src", "tests", "loadtests", "docs", "helm"])
def test_file_names_say_what_is_in_them(folder: str) -> None:
    files = [file for file in (ROOT / folder).rglob("*.py") if not RECORDED & set(file.parts)]
    assert [str(file.relative_to(ROOT)) for file in files if SAYS_NOTHING & set(file.stem.split("_"))] == []


def test_files_are_short() -> None:
    files = [*FILES, *TESTS]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {file: length for file, length in lengths.items() if length > MAX_LINES} == {}


def test_a_tests_name_is_a_sentence() -> None:
    """In a list of failures the name alone says which promise is broken."""
    found = {}
    for file in TESTS:  # as text: to parse all of them takes seconds
        for name in re.findall(r"^ *(?:async )?def test_(\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE):
            words = name.split("_")
            if len(words) < MIN_WORDS or words[0] in SAYS_NO_SUBJECT:
                found[f"{file.relative_to(ROOT)}:test_{name}"] = " ".join(words)
    assert found == {}


def test_functions_fit_a_screen() -> None:
    found = {}
    for file in FILES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    found[f"{file.relative_to(SOURCE)}:{node.name}"] = length
    assert found == {}


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(SOURCE)) for file in FILES if file.read_text() and not ast.get_docstring(parsed(file))
    ]
    assert silent == []


def test_the_tour_of_the_code_names_files_and_classes_that_exist() -> None:
    """`name.py`, `folder/name.py`, `folder/` and `ClassName` in docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)))
    paths = [path for folder in ("src", "docs", "helm") for path in (ROOT / folder, *(ROOT / folder).rglob("*"))]
    places = [f"/{path.relative_to(ROOT).as_posix()}/" for path in paths]
    files = {word for word in words if re.fullmatch(r"[\w./]+(\.py|/)", word)}
    assert {word for word in files if not any(f"/{word.strip('/')}/" in place for place in places)} == set()
    names = {word for word in words if re.fullmatch(r"[A-Z][a-z]+(?:[A-Z]\w*)?", word)}
    assert names - classes().keys() == set()


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def imports() -> dict[str, set[str]]:
    """Every module of ours -> those that it imports, also inside functions, but for types alone."""
    names = {
        ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__") for file in FILES
    }
    found: dict[str, set[str]] = {}
    for file in FILES:
        wanted: set[str] = set()
        for node in nodes_that_run(parsed(file)):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {name if name in names else node.module for name in full}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        found[module_of(file)] = (wanted & names) - {module_of(file)}
    return found


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree without what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from nodes_that_run(node)


def test_no_files_import_one_another_in_a_circle() -> None:
    """Files that nothing in a circle leads to are taken away until only circles, and what leads to them, are left."""
    left = imports()
    while free := {module for module, wanted in left.items() if not wanted & left.keys()}:
        left = {module: wanted for module, wanted in left.items() if module not in free}
    assert left == {}


def test_folders_hold_few_enough_files_to_look_through() -> None:
    sizes = {str(folder.relative_to(SOURCE)): len(list(folder.glob("*.py"))) for folder in {f.parent for f in FILES}}
    assert {folder: size for folder, size in sizes.items() if size > 16} == {}
