"""A table of how far the answers agree, and the differing ones by likely cause:

PYTHONPATH=tests .venv/bin/python -m contract.report [PACKAGE…]
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from contract.compare import Outcome, Run, recorded, recorded_packages, run
from contract.requests import name_of

_EXAMPLES = 4


def main(names: list[str]) -> None:
    runs = [run(name) for name in names or recorded_packages()]
    outcomes = [outcome for done in runs for outcome in done.outcomes]
    print("By package\n")
    print(_table(runs, outcomes, lambda outcome: outcome.package))
    print("\nBy kind of case\n")
    print(_table([], outcomes, lambda outcome: outcome.kind))
    print("\nListed differences\n")
    for name, count in Counter(o.listed for o in outcomes if o.listed).most_common():
        print(f"  {count:6}  {name}")
    print("\nNot loaded\n")
    for done in runs:
        if done.failed or done.skipped:
            print(f"  {done.package}: {done.failed or 'skipped, ' + done.skipped}")
    print("\nDifferent, by likely cause\n")
    for line in _causes(outcome for outcome in outcomes if outcome.fails):
        print(line)


def _table(runs: Iterable[Run], outcomes: list[Outcome], key: Callable[[Outcome], str]) -> str:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for outcome in outcomes:
        counts[key(outcome)][1 if outcome.listed else 2 if outcome.different else 0] += 1
    for done in runs:
        if done.failed or done.skipped:
            counts[done.package][3] += len(recorded(done.package)["exchanges"])
    lines = [_line("", ("alike", "listed", "different", "not loaded"))]
    lines += [_line(name, row) for name, row in sorted(counts.items())]
    return "\n".join([*lines, _line("all", [sum(column) for column in zip(*counts.values(), strict=True)])])


def _line(name: str, cells: Iterable[object]) -> str:
    return f"{name:32}" + "".join(f"{cell!s:>12}" for cell in cells)


def _causes(outcomes: Iterable[Outcome]) -> Iterable[str]:
    """Groups of outcomes that part in the same way, largest first, each with its packages and a few examples."""
    groups: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[_cause(outcome)].append(outcome)
    for cause, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"{len(members):5}  " + " · ".join(filter(None, cause))
        packages = Counter(member.package for member in members)
        yield "         in " + ", ".join(f"{name} {count}" for name, count in packages.most_common(8))
        kinds = Counter(member.kind for member in members)
        yield "         by " + ", ".join(f"{name} {count}" for name, count in kinds.most_common(8))
        step = max(1, len(members) // _EXAMPLES)
        yield from (
            f"         {m.package} · {name_of(m.request)}: {m.different[:240]}" for m in members[::step][:_EXAMPLES]
        )


def _cause(outcome: Outcome) -> tuple[str, ...]:
    """What parts the answers, and both messages without their data."""
    if outcome.different.startswith(("status", "error_code", "content")):
        return outcome.different, _gist(outcome.recorded), _gist(outcome.ours)
    return (_parting(outcome.different),)


def _parting(different: str) -> str:
    """The place and the two values, without the names, numbers and texts in them."""
    place, _, values = different.partition(": ")
    place = re.sub(r"\d+|\.[\w ]+(?=\[)", "…", place)
    theirs, _, ours = values.partition(" became ")
    return f"{place}: {_kind_of(theirs)} became {_kind_of(ours)}"


def _kind_of(value: str) -> str:
    """Of an echo the names of types, of anything else its beginning."""
    types = re.findall(r"\b(?:int|float|str|bool|list|dict|array|bytes|datetime|NoneType|Timestamp|object)\w*", value)
    return " ".join(dict.fromkeys(types[:6])) or re.sub(r"\d[\d.]*", "…", value)[:24]


def _gist(answer: dict[str, object]) -> str:
    document = answer.get("json")
    message = str(document.get("message", "")) if isinstance(document, dict) and answer["status"] != 200 else ""
    message = re.sub(r"^Failed to predict data .*", "enforcement", message, flags=re.DOTALL)
    message = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*|\{.*|\d[\d.]*", "…", message, flags=re.DOTALL)
    return message[:60]


if __name__ == "__main__":
    main(sys.argv[1:])
