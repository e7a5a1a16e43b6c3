"""The requests for a package: what its signature gives rise to, and what its kind of model is worth being asked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contract.requests import Request, name_of

PACKAGES = Path(__file__).parent / "packages"


@dataclass(frozen=True)
class Subject:
    """A package as the corpus sees it: its name, and its signature as MLflow wrote it."""

    name: str
    inputs: list[dict[str, Any]] | None
    params: list[dict[str, Any]]
    hinted: bool

    @property
    def thorough(self) -> bool:
        """Whether the whole table of requests is worth asking: of the models that answer with what they got."""
        return self.name.startswith("echo_")

    @property
    def is_tensor(self) -> bool:
        return bool(self.inputs and self.inputs[0]["type"] == "tensor")

    @property
    def is_unnamed(self) -> bool:
        return bool(self.inputs and "name" not in self.inputs[0])


def package_names() -> list[str]:
    return sorted(path.name for path in PACKAGES.iterdir() if (path / "MLmodel").exists())


def subject(name: str) -> Subject:
    manifest = yaml.safe_load((PACKAGES / name / "MLmodel").read_text(encoding="utf-8"))
    signature = manifest.get("signature") or {}
    inputs, params = (json.loads(signature.get(key) or "null") for key in ("inputs", "params"))
    return Subject(name, inputs, params or [], bool(manifest.get("is_signature_from_type_hint")))


def requests_for(name: str) -> list[Request]:
    """Every request for a package, in an order that never changes; no two have the same name."""
    from contract import corpus_free, corpus_generated, corpus_protocol, corpus_tables, corpus_tensors

    about = subject(name)
    found: list[Request] = [*corpus_free.cases(about), *corpus_protocol.cases(about)]
    if about.inputs and not about.hinted:
        made = corpus_tensors if about.is_tensor else corpus_tables
        found += [*made.cases(about), *corpus_generated.cases(about)]
    twice = [case for case, times in Counter(map(name_of, found)).items() if times > 1]
    assert not twice, f"{name} has two requests called {twice[0]!r}"
    return found
