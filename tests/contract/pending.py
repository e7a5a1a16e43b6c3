"""What is still different from MLflow and not meant to be: `pending.json` names those requests; no other may join them.

PYTHONPATH=tests .venv/bin/python -m contract.pending      writes the list anew; it should only ever get shorter
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from contract.compare import Outcome, recorded_packages, run
from contract.requests import name_of

FILE = Path(__file__).with_name("pending.json")


@cache
def pending() -> dict[str, dict[str, list[str]]]:
    """Names of requests by package and kind."""
    return json.loads(FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def failing_names(outcomes: list[Outcome], kind: str) -> list[str]:
    return sorted(name_of(outcome.request) for outcome in outcomes if outcome.kind == kind and outcome.fails)


def main() -> None:
    found = {}
    for package in recorded_packages():
        done = run(package)
        kinds = {kind: names for kind in done.kinds if (names := failing_names(done.outcomes, kind))}
        if kinds:
            found[package] = kinds
    FILE.write_text(json.dumps(found, indent=0, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    print(sum(len(names) for kinds in found.values() for names in kinds.values()), "requests are still different")


if __name__ == "__main__":
    main()
