"""Which fields a GraphQL query asks for, and those fields of an answer.

Read is what MLflow's page sends: one query with variables, directives, nested fields and `__typename`; the input may
stand in the text, too. Aliases and fragments are not, and say so. Source: https://spec.graphql.org/October2021/,
section 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from penstock.errors import TrackingInvalid

# The fields below a field, by name; empty for one that is a value.
Selection: TypeAlias = "Mapping[str, Selection]"

_MAX_DEPTH = 20
_MAX_TOKENS = 2000
_TOKEN = re.compile(
    r'[\s,]+|#[^\n]*|([A-Za-z_]\w*|\$[A-Za-z_]\w*|@[A-Za-z_]\w*|"(?:[^"\\\n]|\\.)*"|-?\d+|[!(){}\[\]:=]|\.\.\.)'
)


@dataclass(frozen=True, slots=True)
class GraphqlQuery:
    """One field of the schema's root, the variable that is its input, or the input itself, and what is asked of it."""

    root: str
    variable: str
    selection: Selection = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


def parse_query(text: str) -> GraphqlQuery:
    """Raises TrackingInvalid for what is not read here."""
    tokens = _Tokens(text)
    if tokens.next() not in ("query", "mutation"):  # MLflow has its searches in both
        raise _unread("what is no query")
    tokens.skip_to("{")
    root = tokens.name()
    arguments = list(tokens.parenthesis()) if tokens.peek() == "(" else []
    variable = next((token[1:] for token in arguments if token.startswith("$")), "")
    selection = _selection(tokens, 0)
    tokens.expect("}")
    return GraphqlQuery(root, variable, selection, {} if variable else _object(arguments))


def _object(arguments: Sequence[str]) -> Mapping[str, Any]:
    """What stands after `input:`: JSON with names and words that have no quotes. Raises TrackingInvalid."""
    parts: list[str] = []
    for token in arguments[2:]:
        if parts and parts[-1] not in ("{", "[", ":") and token not in ("}", "]", ":"):
            parts.append(",")
        word = token.isidentifier() and token not in ("true", "false", "null")
        parts.append(f'"{token}"' if word else token)
    try:
        found = json.loads("".join(parts) or "{}")
    except ValueError:
        raise _unread("an input of that form") from None
    return found if isinstance(found, dict) else {}


def select(answer: Any, selection: Selection) -> Any:
    """The fields that were asked for, None where the answer has none."""
    if isinstance(answer, list):
        return [select(each, selection) for each in answer]
    if not selection or not isinstance(answer, Mapping):
        return answer
    return {name: select(answer.get(name), below) for name, below in selection.items()}


def _selection(tokens: _Tokens, depth: int) -> Selection:
    if tokens.peek() != "{":
        return {}
    if depth > _MAX_DEPTH:
        raise _unread("fields as deep as that")
    tokens.expect("{")
    fields: dict[str, Selection] = {}
    while tokens.peek() != "}":
        name = tokens.name()
        if tokens.peek() in (":", "("):
            raise _unread("aliases and arguments of inner fields")
        fields[name] = _selection(tokens, depth + 1)
    tokens.expect("}")
    return fields


class _Tokens:
    """The tokens of a query, one after another."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_split(text))
        self._place = 0

    def peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def next(self) -> str:
        token = self.peek()
        if not token:
            raise _unread("a query that ends too soon")
        self._place += 1
        return token

    def expect(self, wanted: str) -> None:
        if (found := self.next()) != wanted:
            raise _unread(f"{found[:40]!r} in place of {wanted!r}")

    def name(self) -> str:
        found = self.next()
        if not (found[0].isalpha() or found[0] == "_"):
            raise _unread(f"{found[:40]!r} in place of a field")
        return found

    def skip_to(self, wanted: str) -> None:
        """Past the name of the query, its variables and its directives."""
        while self.next() != wanted:
            if self.peek() == "(":
                list(self.parenthesis())

    def parenthesis(self) -> Iterator[str]:
        self.expect("(")
        while (token := self.next()) != ")":
            yield token


def _split(text: str) -> Iterator[str]:
    place = count = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _unread(f"{text[place : place + 20]!r}")
        if found[1]:
            count += 1
            if count > _MAX_TOKENS:
                raise _unread("a query as long as that")
            yield found[1]
        place = found.end()


def _unread(what: str) -> TrackingInvalid:
    return TrackingInvalid(
        f"This GraphQL query is not answered here: {what}.", hint="Ask MLflow's REST instead.", field="query"
    )
