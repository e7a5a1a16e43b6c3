"""What models, aliases and tags may be called: one rule for every backend."""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock.errors import NameInvalid

# MLflow refuses '/' and ':' in model names; the rest keeps names usable in URLs, file names and metric labels.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\- ]{0,254}")
_ALIAS = re.compile(r"(?!(?i:latest)$)(?![vV]\d+$)[A-Za-z0-9_\-]{1,255}")
_MLFLOWS = re.compile(r"[^/:\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_TAG = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,250}")

# Characters of a tag's value or a description: prompts are kept in tags.
MAX_TEXT = 100_000


def usable_name(text: str) -> str:
    """Any text as a model name: what URLs, file names and labels cannot hold becomes a dash."""
    return re.sub(r"[^A-Za-z0-9_.\-]+", "-", text)[:255].lstrip(".-") or "model"


def check_name(name: str) -> None:
    """Raises NameInvalid. One rule for every backend, MLflow's and a little narrower."""
    if not _NAME.fullmatch(name) or name != name.strip() or name in (".", ".."):
        raise NameInvalid(
            f"{name!r} cannot be a model name.",
            hint="Use up to 255 letters, digits, '_', '-', '.' and inner spaces; start with a letter, digit or '_'.",
        )


def check_mlflow_name(name: str) -> None:
    """Raises NameInvalid, by MLflow's rule: what its clients may call a model that is no package of ours yet."""
    if not _MLFLOWS.fullmatch(name) or not name.strip() or name in (".", ".."):
        raise NameInvalid(
            f"Invalid model name {name[:300]!a}.", hint="Use up to 255 characters, and neither '/' nor ':'."
        )


def check_text(what: str, text: str) -> None:
    """Raises NameInvalid for what no database keeps."""
    if len(text) > MAX_TEXT or "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NameInvalid(
            f"The {what} cannot be kept.", hint=f"Use up to {MAX_TEXT:,} characters, and no NUL and no half of one."
        )


def check_alias(alias: str) -> None:
    """Raises NameInvalid, by MLflow's rule."""
    if not _ALIAS.fullmatch(alias):
        raise NameInvalid(
            f"{alias!r} cannot be an alias.",
            hint="Use letters, digits, '_' and '-'; not 'latest', and not v followed by a number.",
        )


def check_tag(key: str) -> None:
    """Raises NameInvalid."""
    if not _TAG.fullmatch(key):
        raise NameInvalid(f"{key!r} cannot be a tag name.", hint="Use 1 to 250 printable characters.")


def check_tags(tags: Mapping[str, str]) -> None:
    """Names and values. Raises NameInvalid."""
    for key, value in tags.items():
        check_tag(key)
        check_text(f"tag {key!r}", value)
