"""What every `penstock registry` command says, whichever registry is asked: the table in `registry_commands.txt`.

There, `$` begins a command and what follows is what it says, an exit code other than 0 at its end. Below `| MLflow` is
what it says of an MLflow server, where that differs. `!` begins what MLflow's client does, of that server alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.cli import main

TABLE = Path(__file__).with_name("registry_commands.txt")

# What is of one registry alone, or of this moment.
_PLACES: tuple[tuple[str, str], ...] = (
    (r"'?postgresql[^\s']*[^\s'.]'?", "URL"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z|\+00:00)", "TIME"),
    (r"models:/m-[0-9a-f]{32}|[^\s\"]*/iris/[0-9a-f]{64}", "SOURCE"),
    (r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "DIGEST"),
    (r"\b[0-9a-f]{32}\b", "RUN"),
    (r"\d+(\.\d+)? kB", "SIZE"),
    (r'"size_bytes": [1-9]\d+', '"size_bytes": SIZE'),
    (r"[^\s]*/nowhere", "NOWHERE"),
)


@dataclass(frozen=True)
class TableRow:
    """`of_mlflow` is None where an MLflow server's answer is that of all. With `is_aside`, it is MLflow's client that
    does `words`."""

    words: str
    says: str
    of_mlflow: str | None = None
    is_aside: bool = False


def table() -> Iterator[TableRow]:
    for part in re.split(r"^(?=[$!] )", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        words, _, says = part[2:].partition("\n")
        ours, bar, mlflows = says.partition("| MLflow\n")
        yield TableRow(words, ours, mlflows if bar else None, part[0] == "!")


def said(words: str, url: str, packages: Mapping[str, Path], capfd: pytest.CaptureFixture[str]) -> str:
    """What a command says, as the table has it."""
    typed = [word.replace("'", "") for word in re.findall(r"(?:'[^']*'|[^\s'])+", words)]
    with pytest.raises(SystemExit) as ended:
        main(["registry", *(str(packages.get(word, word)) for word in typed), "--registry", url])
    told = "".join(capfd.readouterr()).replace(url, "URL")
    for pattern, name in _PLACES:
        told = re.sub(pattern, name, told)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    return "".join(f"{line}\n" for line in lines if line) + (f"[{ended.value.code}]\n" if ended.value.code else "")
