"""Values of a filter: numbers, texts between quotes, lists of texts."""

from __future__ import annotations

import re

from penstock.mlflow_api.search.entities import SearchEntity
from penstock.mlflow_api.search.keys import Key
from penstock.mlflow_api.search.tokens import Token, TokenReader, shown, shown_token
from penstock.mlflow_api.search.tree import Operator, Value

# SQLite refuses patterns that are a little longer.
MAX_PATTERN = 10_000

# What databases hold as whole numbers. What is beyond becomes a float, which compares with all of them as it should.
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_INTEGER = re.compile(r"-?\d+")
_ID = re.compile(r"\d{1,19}")
_MOST_DIGITS = 20


def read_value(entity: SearchEntity, reader: TokenReader, key: Key, operator: Operator) -> Value:
    """What stands after the operator. Raises SearchInvalid."""
    if operator in ("IS NULL", "IS NOT NULL"):
        return None
    if operator in ("IN", "NOT IN"):
        return _list(entity, reader, key)
    if key.field.type in ("number", "integer"):
        return _number(reader, key)
    token = reader.next
    if token.kind != "text" and not (entity.bare_values and token.kind in ("name", "number")):
        raise reader.refusal(f"{key.shown} is compared with a text, not {shown_token(token)}", _QUOTES)
    reader.take()
    return _pattern(reader, token) if operator in ("LIKE", "ILIKE") else _word(reader, key, token)


_QUOTES = "A text stands between single quotes."


def _number(reader: TokenReader, key: Key) -> int | float:
    token = reader.next
    is_number = token.kind == "number" or (key.field.quoted and _INTEGER.fullmatch(token.content) is not None)
    if not is_number or (key.field.type == "integer" and not _INTEGER.fullmatch(token.content)):
        kind = "a whole number" if key.field.type == "integer" else "a number"
        raise reader.refusal(f"{key.shown} is compared with {kind}, not {shown_token(token)}")
    reader.take()
    if key.kind != "metric" and len(token.content) <= _MOST_DIGITS and _INTEGER.fullmatch(token.content):
        number = int(token.content)
        return number if _LEAST <= number <= _GREATEST else float(number)
    return float(token.content)


def _pattern(reader: TokenReader, token: Token) -> str:
    if len(token.content) > MAX_PATTERN:
        raise reader.refusal(f"a pattern has at most {MAX_PATTERN:,} characters", column=token.column)
    return token.content


def _word(reader: TokenReader, key: Key, token: Token) -> str:
    """A text, or the one canonical form of what it says."""
    text = token.content
    if key.field.words:
        if text not in key.field.words:
            known = ", ".join(key.field.words)
            raise reader.refusal(f"{key.shown} is never {shown(text)}", f"It is one of {known}.", column=token.column)
        return key.field.words[text]
    if key.field.type == "id":
        if not _ID.fullmatch(text) or int(text) > _GREATEST:
            raise reader.refusal(f"{key.shown} is a number between quotes, never {shown(text)}", column=token.column)
        return str(int(text))
    return text


def _list(entity: SearchEntity, reader: TokenReader, key: Key) -> tuple[str, ...]:
    if not reader.take_mark("("):
        raise reader.refusal(f"a list is expected, as ('a', 'b'), not {shown_token(reader.next)}")
    texts: list[str] = []
    while not (texts and reader.take_mark(")")):
        token = reader.next
        if token.kind != "text" and not (entity.bare_values and token.kind == "number"):
            raise reader.refusal(f"a list has texts, not {shown_token(token)}", _QUOTES)
        texts.append(_word(reader, key, reader.take()))
        if not reader.take_mark(",") and reader.next.text != ")":
            raise reader.refusal(f"a comma or the end of the list is expected, not {shown_token(reader.next)}")
    return tuple(texts)
