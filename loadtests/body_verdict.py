"""What was seen while a server got one hostile body, and whether that is good enough."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000
STALL = 0.1


@dataclass(frozen=True)
class Bounds:
    """What a server may take: seconds that /livez may wait, bytes that memory may grow by, seconds until an answer."""

    stall: float
    growth: int
    answer: float

    @classmethod
    def of(cls, *, max_body: int, timeout: float) -> Bounds:
        """64 MB and twelve times the largest body that the server takes, unpacked; the deadline and a second."""
        return cls(STALL, 64 * MEGABYTE + 12 * max_body, timeout + 1.0)


@dataclass(frozen=True)
class Seen:
    """One body's record. Times are in seconds, memory in bytes; `status` is "none" where no answer came, "died" where
    the server ended, "wedged" where it did not come back."""

    kind: str
    name: str
    model: str
    bytes: int
    status: str
    stall: float
    good: float
    growth: int
    seconds: float
    good_after: int
    answered: bool
    answer: str = ""

    def faults(self, bounds: Bounds) -> list[str]:
        """Why the server did not hold, each in a few words; nothing where it did."""
        if self.status in ("died", "wedged"):
            return [self.status]
        found = []
        if self.stall > bounds.stall:
            found.append(f"stall {self.stall * 1000:.0f} ms")
        if self.growth > bounds.growth:
            found.append(f"memory {self.growth / MEGABYTE:.0f} MB")
        if self.seconds > bounds.answer:
            found.append(f"answer after {self.seconds:.1f} s")
        if self.status == "none" and self.answered:
            found.append("no answer")
        if self.status == "500":
            found.append("500")
        if self.good_after != 200:
            found.append(f"a good request afterwards: {self.good_after or 'no answer'}")
        return found


HEADER = f"{'kind':14} {'name':52} {'model':11} {'bytes':>9} {'status':>6} {'livez ms':>8} {'good ms':>8} {'MB':>6} {'s':>6}  faults"


def line(seen: Seen, bounds: Bounds) -> str:
    """A record as a line of the printed table."""
    return (
        f"{seen.kind:14} {seen.name[:52]:52} {seen.model:11} {seen.bytes:>9} {seen.status:>6} {seen.stall * 1000:>8.0f} "
        f"{seen.good * 1000:>8.0f} {seen.growth / MEGABYTE:>6.0f} {seen.seconds:>6.2f}  {'; '.join(seen.faults(bounds))}"
    )


def summary(records: list[Seen], bounds: Bounds) -> str:
    """How many held, of each kind and in all, and what was asked of them."""
    kinds = dict.fromkeys(record.kind for record in records)
    held = {kind: [not r.faults(bounds) for r in records if r.kind == kind] for kind in kinds}
    counts = [f"  {kind:14} {sum(good):>4} of {len(good)}" for kind, good in held.items()]
    total = sum(map(sum, held.values()))
    asked = (
        f"Held: answered within {bounds.answer:.0f} s and not by 500, the server alive, /livez within {bounds.stall * 1000:.0f} ms, "
        f"memory grown by no more than {bounds.growth / MEGABYTE:.0f} MB, and 200 to a good request afterwards."
    )
    return "\n".join([asked, *counts, f"{total} of {len(records)} held"])
