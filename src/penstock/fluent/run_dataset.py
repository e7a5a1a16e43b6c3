"""A dataset as a run's input: what it is called, which data it was, and where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunDataset:
    """`digest` tells one state of the data from another. `source`, `schema` and `profile` are JSON as MLflow writes it,
    `schema` is None where the columns have none. `data` and `targets` are what was given, and are not logged."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    data: Any = field(default=None, repr=False, compare=False)
    targets: Any = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, str]:
        """As MLflow's REST has it."""
        texts = {name: getattr(self, name) for name in ("name", "digest", "source_type", "source", "schema", "profile")}
        return {name: text for name, text in texts.items() if text is not None}

    def to_json(self) -> str:
        return json.dumps(self.to_dict())
