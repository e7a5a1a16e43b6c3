"""Where a package runs: in the gateway, or in a process of its own; a pure decision, and its reason in words.

In the gateway runs only what cannot hold or fill it: data whose flavor says that a row's cost is bounded and its arrays
are checked, asked with rows whose cells are bounded too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from penstock.package import PackagedModel
from penstock.signature import Signature, unbounded_column

# auto: where the reasons below say.
IsolationMode: TypeAlias = Literal["auto", "process", "none"]


class Placement(NamedTuple):
    """`apart` is whether a process of its own runs the package; `bounded` whether nothing speaks against the
    gateway."""

    apart: bool
    bounded: bool
    why: str

    def __str__(self) -> str:
        return f"{'in a model process' if self.apart else 'in the gateway'}: {self.why}"


def place(package: PackagedModel, mode: IsolationMode = "auto", flavor: str | None = None) -> Placement:
    """Where a package runs that may be loaded. Reads it, and loads nothing. Raises FlavorUnknown, PackageInvalid,
    ArtifactInvalid."""
    code = [str(reason) for reason in package.code_reasons(flavor)]
    reasons = [] if code else package.process_reasons(flavor)
    return decide(mode, code, reasons, package.manifest.signature)


def decide(mode: IsolationMode, code: Sequence[str], reasons: Sequence[str], signature: Signature | None) -> Placement:
    """The same from what is known of the package: why it carries code, why the flavor would have it run apart, and
    what its rows are."""
    against = [f"it carries code: {reason}" for reason in code] or list(reasons)
    if not against and (column := unbounded_column(signature)) is not None:
        against = [f"{column} may hold lists or objects of any size"]
    why = "; ".join(against)
    if mode == "auto":
        return Placement(bool(against), not against, why or "a row's cost is bounded, and its arrays are checked")
    anyway = f", though {why}" if why and mode == "none" else ""
    return Placement(mode == "process", not against, f"isolation is {mode}{anyway}")
