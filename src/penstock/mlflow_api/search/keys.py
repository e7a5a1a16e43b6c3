"""Keys of a filter or an order: `metrics.loss`, ``tags.`mlflow.user` ``, `status`."""

from __future__ import annotations

from typing import NamedTuple

from penstock.mlflow_api.search.entities import SearchEntity, SearchField
from penstock.mlflow_api.search.tokens import Token, TokenReader, shown, shown_token
from penstock.mlflow_api.search.tree import Kind

QUOTE_IT = "A name with other characters than letters, digits, underscores and dots stands in backquotes."


class Key(NamedTuple):
    """What a key names, and what the entity's table says of it. It stands from `column` on, and ends before `end`."""

    kind: Kind
    name: str
    field: SearchField
    column: int
    end: int

    @property
    def shown(self) -> str:
        return f"the {self.kind} {shown(self.name)}"


def read_key(entity: SearchEntity, reader: TokenReader) -> Key:
    """Raises SearchInvalid."""
    column = reader.next.column
    prefix, name, end = _parts(entity, reader)
    kind = "attribute" if prefix is None else _kind(entity, reader, prefix)
    key = entity.canonical(name.text) if kind == "attribute" else name.text
    field = entity.field_of(kind, key)
    if field is None:
        known = entity.attributes if kind == "attribute" else entity.datasets
        hint = f"There are {', '.join(known)}."
        if prefix is None:
            hint += f" Any other key has a prefix: {_prefixes(entity)}."
        raise reader.refusal(f"{entity.name} have no {kind} {shown(name.text)}", hint, column=name.column)
    return Key(kind, key, field, column, end)


def _kind(entity: SearchEntity, reader: TokenReader, prefix: Token) -> Kind:
    if prefix.text in entity.prefixes:
        return entity.prefixes[prefix.text]
    raise reader.refusal(
        f"{shown(prefix.text)} is no prefix of keys of {entity.name}",
        f"There are {_prefixes(entity)}.",
        column=prefix.column,
    )


def _prefixes(entity: SearchEntity) -> str:
    """One of each kind; any of them is read."""
    first: dict[Kind, str] = {}
    for prefix, kind in entity.prefixes.items():
        first.setdefault(kind, prefix)
    return ", ".join(first.values())


def _parts(entity: SearchEntity, reader: TokenReader) -> tuple[Token | None, Token, int]:
    """The prefix, where there is one, and the name, both without quotes, and where they end."""
    first = reader.next
    if not _may_name(first) or first.text.startswith("'"):
        example = "metrics.loss" if "metric" in entity.keys else "tags.team"
        raise reader.refusal(f"a key is expected, as name or {example}, not {shown_token(first)}")
    reader.take()
    if first.kind == "name" and "." in first.text:
        prefix, _, name = first.text.partition(".")
        return (
            Token("name", prefix, first.start),
            Token("name", name, first.start + len(prefix) + 1),
            _end_of_key(reader, first),
        )
    dot = reader.next
    if dot.text != "." or dot.start != first.end:
        return None, _bare(first), first.end
    reader.take()
    last = reader.next
    if not _may_name(last) or last.start != dot.end:
        raise reader.refusal(f"a name is expected right after the dot, not {shown_token(last)}", QUOTE_IT)
    reader.take()
    return _bare(first), _bare(last), _end_of_key(reader, last)


def _end_of_key(reader: TokenReader, last: Token) -> int:
    """Half of a name between quotes is no name."""
    if reader.next.text == "." and reader.next.start == last.end:
        raise reader.refusal("no dot can stand here", QUOTE_IT)
    return last.end


def _may_name(token: Token) -> bool:
    return token.kind in ("name", "text", "backquoted")


def _bare(token: Token) -> Token:
    return token if token.kind == "name" else Token("name", token.content, token.start)
