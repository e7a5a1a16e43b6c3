"""Errors name their remedy by a key, and only the command line turns it into flags and commands."""

from __future__ import annotations

import ast
import re
import string
from functools import cache
from pathlib import Path

import pytest

import penstock
from penstock.cli.remedies import WORDS, hint_of
from penstock.errors import AliasNotFound, ConfigError, ModelNotFound, PackageNotFound, PackagingFailed, Remedy, remedy
from penstock.flavors.missing_code import missing_code
from penstock.model_process.protocol.remote_errors import describe, rebuild
from penstock.registry.memory import MemoryRegistry
from penstock.scoring.file_formats import needed_format

# What the words take from the command line that failed.
TYPED = {"command", "at", "create", "migrate"}
SOURCE = Path(penstock.__file__).parent
COMMAND_LINE = re.compile(
    r"penstock (config|doctor|env|image|inspect|package|registry|score|serve|verify)\b|(?<![\w-])--[a-z][a-z-]+"
)
# Programs that these run have flags of their own; what is read and written there is no sentence for a caller.
OTHER_PROGRAMS = {"environments/building.py", "environments/resolving.py", "environments/interpreters.py"}
# The help of flags is made of what a setting says of itself.
FLAGS = {"config/settings.py"}


@cache
def parsed_below_the_command_line() -> list[tuple[str, ast.Module]]:
    files = [(file, file.relative_to(SOURCE).as_posix()) for file in sorted(SOURCE.rglob("*.py"))]
    return [(name, ast.parse(file.read_text(encoding="utf-8"))) for file, name in files if not name.startswith("cli/")]


def test_every_key_that_is_raised_has_words_and_every_word_is_used() -> None:
    raised: dict[str, set[str]] = {}
    for _, tree in parsed_below_the_command_line():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "remedy":
                keys = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                for key in keys:
                    raised.setdefault(str(key), set()).update(k.arg or "" for k in node.keywords)
    assert raised.keys() == WORDS.keys()
    for key, words in WORDS.items():
        needed = {field for _, field, _, _ in string.Formatter().parse(words) if field} - TYPED
        assert needed <= raised[key], f"{key} needs {needed}, and is raised with {raised[key]}"


def test_no_error_below_the_command_line_speaks_of_flags_or_commands() -> None:
    wrong = []
    for name, tree in parsed_below_the_command_line():
        if name in OTHER_PROGRAMS | FLAGS:
            continue
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and re.search(r"[a-z]", _called(node))):
                continue
            texts = [*node.args, *(k.value for k in node.keywords)]
            if not (_called(node)[:1].isupper() or any(k.arg == "hint" for k in node.keywords)):
                continue
            for text in (n.value for part in texts for n in ast.walk(part) if isinstance(n, ast.Constant)):
                if isinstance(text, str) and " " in text and COMMAND_LINE.search(text) and "mlflow " not in text:
                    wrong.append(f"{name}:{node.lineno}: {text}")
    assert not wrong


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def test_the_command_line_says_the_command_and_others_do_not() -> None:
    registry = MemoryRegistry()
    with pytest.raises(ModelNotFound) as raised:
        registry.versions("iris")
    assert hint_of(raised.value) == "Add it with: penstock registry add iris PACKAGE"
    assert str(raised.value) == "There is no model 'iris' in this registry. Register a version of the model first."


def test_a_remedy_may_be_the_same_command_with_a_flag_given_anew() -> None:
    typed = ["package", "sklearn", "my model.pkl", "--example", "rows.csv", "--column=id", "--column", "x", "-o", "out"]
    error = PackagingFailed("No.", remedy=remedy("one_column", column="the text"))
    assert hint_of(error, typed).endswith(
        ": penstock package sklearn 'my model.pkl' --example rows.csv -o out --column 'the text'"
    )
    error = PackagingFailed("No.", remedy=remedy("array_example", body='{"inputs": ["it\'s"]}'))
    assert hint_of(error, typed).endswith(
        """: echo '{"inputs": ["it'"'"'s"]}' > example.json && """
        "penstock package sklearn 'my model.pkl' -o out --example example.json"
    )


def test_a_command_asks_the_registry_that_was_typed() -> None:
    """As it was typed last; what a variable or a file says is there for the next command, too."""
    error = AliasNotFound("None.", hint="Set it.", remedy=remedy("promote", model="my model", alias="a"))
    promote = "Set the alias with: penstock registry promote 'my model' VERSION --alias a"
    assert hint_of(error, ["serve", "m"]) == promote
    assert hint_of(error, ["serve", "m", "--registry", "http://hub:5000"]) == f"{promote} --registry http://hub:5000"
    typed = ["score", "--registry=x", "--registry=my store", "--artifacts", "s3://b", "--", "--registry", "y"]
    assert hint_of(error, typed) == f"{promote} --registry 'my store' --artifacts s3://b"
    shown = hint_of(error, ["serve", "m", "--registry", "postgresql://u:secret@db/x"])
    assert shown.endswith("--registry 'postgresql://u:***@db/x'")
    missing = PackagingFailed("No.", remedy=remedy("add_token", store="my store"))
    assert "penstock hub --store 'my store' token add NAME --role admin." in hint_of(missing, ["hub"])
    outdated = PackagingFailed("No.", remedy=remedy("migrate"))
    assert hint_of(outdated, ["registry", "list", "--registry", "R"]).startswith(
        "Run: penstock registry migrate --registry R (for the store of a hub: penstock hub --store URL migrate)"
    )
    for typed in (["hub", "--store", "S"], ["hub", "--artifacts", "A", "--store=S"]):
        assert hint_of(outdated, typed) == "Run: penstock hub --store S migrate"
    assert hint_of(outdated, ["hub", "--artifacts", "A"]) == "Run: penstock hub migrate"
    shown = hint_of(outdated, ["hub", "--store", "postgresql://u:secret@db/x", "token", "list"])
    assert shown == "Run: penstock hub --store 'postgresql://u:***@db/x' migrate"


@pytest.mark.parametrize("key", sorted(WORDS))
def test_every_command_that_asks_a_registry_is_told_which(key: str) -> None:
    for command in re.findall(r"penstock registry (?!add --help)[a-z-]+[^.:(]*", WORDS[key]):
        asks_a_place = "{at}" in command or "--registry" in command or command.endswith("promote, or remove it")
        assert asks_a_place, command


def test_the_command_line_says_the_option_and_python_the_argument() -> None:
    with pytest.raises(ConfigError) as raised:
        needed_format("scores.txt", None, "output_format")
    assert "Name one as output_format: csv, tsv, jsonl, parquet, arrow" in raised.value.hint
    assert hint_of(raised.value).startswith("Name one with --output-format: csv, tsv, jsonl, parquet, arrow")
    with pytest.raises(ConfigError, match=r"There is no output format 'foo'\."):
        needed_format("scores.csv", "foo", "output_format")


def test_a_hint_without_a_remedy_stays_as_it_is() -> None:
    assert hint_of(PackageNotFound("It is not there.", hint="Look elsewhere.")) == "Look elsewhere."
    assert hint_of(PackageNotFound("It is not there.", hint="Look.", remedy=Remedy("of_another_release"))) == "Look."


def test_a_remedy_travels_between_processes() -> None:
    error = AliasNotFound("None.", hint="Set it.", remedy=remedy("promote", model="iris", alias="production"))
    assert hint_of(rebuild(describe(error))) == (
        "Set the alias with: penstock registry promote iris VERSION --alias production"
    )


@pytest.mark.parametrize(("module", "place"), [("helper", "helper.py"), ("helper.steps", "helper")])
def test_a_module_of_the_authors_own_is_taken_along_by_penstock_and_by_mlflow(module: str, place: str) -> None:
    error = missing_code(ModuleNotFoundError(name=module), "The package's code")
    assert error is not None
    assert f"--code {place}, or" in hint_of(error)
    assert f'code_paths=["{place}"]' in hint_of(error)
