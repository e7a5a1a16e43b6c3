"""What a start is about: what the gateway asks a model process to load, and what that answers when it has proven it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, get_type_hints


@dataclass(frozen=True, slots=True)
class StartModel:
    """What to load, and how. `slots` is how many unjoined requests are predicted at once, `memory_limit` the bytes of
    memory that the process may have (0: any), `import_path` where modules are found (empty: as the interpreter has
    it)."""

    path: str
    trust_code: bool = False
    strict_env: bool = False
    flavor: str = ""
    threads: int = 0
    slots: int = 1
    memory_limit: int = 0
    import_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """The package's digest, computed before any of its code has run."""

    digest: str


@dataclass(frozen=True, slots=True)
class ModelStarted:
    """Loaded and proven. `repeats`, `unjoined`, `warnings` and `not_lean` are the proof's; `takes_frames` is the
    predictor's."""

    repeats: bool
    unjoined: str
    warnings: tuple[str, ...]
    takes_frames: bool
    python: str = ""
    not_lean: str | None = None


def dump(note: StartModel | Opened | ModelStarted) -> bytes:
    return json.dumps(asdict(note)).encode()


N = TypeVar("N", StartModel, Opened, ModelStarted)


def parse(kind: type[N], text: bytes) -> N:
    """A note of this kind. Raises ValueError where a field is missing, unknown, or of another type."""
    try:
        found: Any = json.loads(text)
        hints = get_type_hints(kind)
        if not isinstance(found, dict) or found.keys() - hints.keys():
            raise ValueError(f"fields of {kind.__name__} that are unknown")
        values = {f.name: _checked(found[f.name], hints[f.name]) for f in fields(kind) if f.name in found}
        return kind(**values)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None


def _checked(value: Any, hint: Any) -> Any:
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("a list of texts expected")
        return tuple(value)
    if hint == (str | None):
        if value is not None and not isinstance(value, str):
            raise ValueError("a text or null expected")
        return value
    if type(value) is not hint:
        raise ValueError(f"{hint.__name__} expected")
    return value
