"""Every command line in the documentation is one: its command and its options exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from penstock.cli import penstock

ROOT = Path(__file__).parents[2]
# Commands of the example plug-in, which the tests of flavors install.
PLUG_INS = {"linear"}
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "sample_models").rglob("*.md")]


def command_lines() -> Iterator[tuple[str, str]]:
    """(page, line): what follows `penstock` in blocks and spans of code."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        for code in [*(line for block in blocks for line in block.splitlines()), *spans]:
            for line in re.findall(r"(?:^|\$ |&& |     )penstock ([a-z].*?)(?=#| && |     |$)", code):
                yield page.name, line


def found(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words after them."""
    command: click.Command = penstock
    while isinstance(command, click.Group) and words:
        if command.invoke_without_command and words[0].startswith("-"):
            break
        inner = command.get_command(click.Context(command), words[0])
        if inner is None and words[0] in PLUG_INS:
            return command, []
        assert inner is not None, f"there is no command {words[0]!r}"
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_a_documented_command_line_has_known_options(page: str, line: str) -> None:
    words = [word.strip("[],.") for word in line.split()]
    command, rest = found([word for word in words if word])
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if re.fullmatch(r"--[a-z][a-z-]+(=.*)?", word) and word.split("=")[0] not in known]
    assert unknown == ["--help"] * len(unknown), f"{page}: penstock {line}"


@pytest.mark.parametrize(
    "words", ["hub", "hub gc", "hub backup", "hub restore", "hub import", "hub token", "runs", "runs list"]
)
def test_examples_fit_a_terminal(words: str) -> None:
    command, _ = found(words.split())
    told = command.get_help(click.Context(command, info_name=f"penstock {words}", terminal_width=80))
    assert [line for line in told.splitlines() if len(line) > 80] == []
