"""The pages of decisions all have the same form, and the list of them is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DECISIONS = Path(__file__).parent.parent / "docs" / "decisions"
PAGES = sorted(DECISIONS.glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_the_same_headings(page: Path) -> None:
    title, *headings = re.findall(r"^#+ .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert title.startswith(f"# {int(page.stem[:4])}. ")
    assert headings == ["## Status", "## Context", "## Decision", "## Consequences", "## Where"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_points_into_the_code_and_says_whether_it_holds(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    status = text.partition("## Status\n\n")[2].partition("\n")[0]
    assert re.fullmatch(r"(Accepted, \d{4}-\d\d-\d\d|Replaced by \[.+\]\(.+\))\.", status)
    assert "](../../" in text.partition("## Where")[2]


def test_the_list_names_every_page_by_its_number_and_title() -> None:
    numbers = [int(page.stem[:4]) for page in PAGES]
    assert numbers == list(range(1, len(PAGES) + 1))
    listed = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE)
    titles = [page.read_text(encoding="utf-8").partition("\n")[0].partition(". ")[2] for page in PAGES]
    expected = [(str(number), title, page.name) for number, title, page in zip(numbers, titles, PAGES, strict=True)]
    assert listed == expected
