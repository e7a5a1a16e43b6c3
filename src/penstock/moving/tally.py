"""What an import has seen and done, kind by kind, and whether the numbers agree at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.moving.records import KINDS, Broken, Kind

# Of what is broken each one is counted, and so many are listed.
MOST_LISTED = 10_000


class Tally:
    """Counts as an import goes on."""

    def __init__(self) -> None:
        # Mutable state: per kind what was brought over, what was here already and what was not; and why not.
        self.new: Counter[Kind] = Counter()
        self.present: Counter[Kind] = Counter()
        self.skipped: Counter[Kind] = Counter()
        self.reasons: dict[Kind, Counter[str]] = {}
        self.listed: list[Broken] = []
        self.unlisted = 0

    def __repr__(self) -> str:
        new, present, skipped = (sum(each.values()) for each in (self.new, self.present, self.skipped))
        return f"<Tally: {new} new, {present} here, {skipped} skipped>"

    def bring(self, kind: Kind, new: int, present: int = 0) -> None:
        self.new[kind] += new
        self.present[kind] += present

    def total(self, kind: Kind) -> int:
        return self.new[kind] + self.present[kind] + self.skipped[kind]

    def note(self, broken: Iterable[Broken]) -> None:
        for each in broken:
            if not each.kept:
                self.skipped[each.kind] += each.count
            self.reasons.setdefault(each.kind, Counter())[each.reason] += each.count
            if len(self.listed) < MOST_LISTED:
                self.listed.append(each)
            else:
                self.unlisted += 1

    def skip(self, holds: Mapping[Kind, int], at: str, reason: str) -> None:
        """An object with all that it holds."""
        self.note(Broken(kind, at, reason, count) for kind, count in holds.items() if count)


@dataclass(frozen=True, slots=True)
class CountedKind:
    """One line of a report. `source` is None where the source cannot count the kind; `store` is what is here of it in
    the end, None where nobody counted. `agrees` is whether all is accounted for: what is there was brought over, was
    here, or is listed with a reason; and what was brought over can be counted here."""

    kind: Kind
    source: int | None
    imported: int
    present: int
    skipped: int
    store: int | None

    @property
    def agrees(self) -> bool:
        brought = self.imported + self.present
        there = self.source is None or self.source == brought + self.skipped
        return there and (self.store is None or self.store >= brought)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was done. `listed` says of single objects why they were left out or changed; of `unlisted` more there is
    only the number in `reasons`."""

    source: str
    store: str
    dry_run: bool
    seconds: float
    counted: tuple[CountedKind, ...]
    reasons: Mapping[Kind, Mapping[str, int]]
    listed: tuple[Broken, ...] = ()
    unlisted: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def agrees(self) -> bool:
        return all(each.agrees for each in self.counted)


def counted(tally: Tally, source: Mapping[Kind, int], store: Mapping[Kind, int] | None) -> tuple[CountedKind, ...]:
    """The lines of a report; `store` is None where nothing was to be written."""
    return tuple(
        CountedKind(
            kind,
            source.get(kind),
            tally.new[kind],
            tally.present[kind],
            tally.skipped[kind],
            None if store is None else store.get(kind),
        )
        for kind in KINDS
    )
