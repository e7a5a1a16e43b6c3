"""The words of a filter: keys, numbers, texts in quotes, operators. Reading them takes time in proportion to the text.

A quote inside a text is written twice; a backslash is a character like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from penstock.errors import SearchInvalid

# other: one character that belongs to none of the rest; end: there is nothing more, a token without text.
TokenKind: TypeAlias = Literal["name", "number", "text", "backquoted", "operator", "mark", "other", "end"]

_TOKENS = re.compile(
    r"""
      (?P<number> -? (?: \d++ (?: \. \d*+ )? | \. \d++ ) (?: [eE] [+-]? \d++ )? (?! [\w.$#] ) )
    | (?P<name> \w [\w$#]* (?: \. \w [\w$#]* )*+ )
    | (?P<text> ' (?: [^']++ | '' )*+ ' | " (?: [^"]++ | "" )*+ " )
    | (?P<backquoted> ` (?: [^`]++ | `` )*+ ` )
    | (?P<operator> [<>=!~]+ )
    | (?P<mark> [.,()] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)

_BLANKS = re.compile(r"\s*+")

# Characters that no database keeps in a text.
UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")

# How much of a text an error repeats.
_SHOWN = 60


class Token(NamedTuple):
    """`text` as it was written, at `start` from 0."""

    kind: TokenKind
    text: str
    start: int

    @property
    def column(self) -> int:
        return self.start + 1

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def content(self) -> str:
        """What the quotes hold."""
        if self.kind in ("text", "backquoted"):
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text


def _tokens_of(text: str, place: str) -> Iterator[Token]:
    """Ends with a token of kind `end`, and goes on with it for ever."""
    check_keepable(text, place)
    start = _blanks_end(text, 0)
    while start < len(text):
        found = _TOKENS.match(text, start)
        assert found is not None  # `other` is any character
        kind: TokenKind = found.lastgroup  # type: ignore[assignment]
        if kind == "other" and found[0] in "'\"`":
            raise refusal(place, start + 1, f"the quote of {shown(text[start:])} is never closed")
        yield Token(kind, found[0], start)
        start = _blanks_end(text, found.end())
    while True:
        yield Token("end", "", len(text))


def _blanks_end(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    assert found is not None
    return found.end()


class TokenReader:
    """The tokens of a text, one after the other. `place` is what errors call the text: `filter`, `order_by[2]`.

    State: `next` is the token that `take` will give, `last` the one that it gave.
    """

    def __init__(self, text: str, place: str) -> None:
        self._place = place
        self._tokens = _tokens_of(text, place)
        self.next = next(self._tokens)
        self.last = Token("end", "", 0)

    def __repr__(self) -> str:
        return f"TokenReader({self._place}, next={self.next})"

    def take(self) -> Token:
        """Raises SearchInvalid where what follows the token is no token."""
        self.last, self.next = self.next, next(self._tokens)
        return self.last

    def take_word(self, word: str) -> bool:
        """Takes the next token if it is this word of the grammar, in capitals here and in any case there."""
        return self._take_if(self.next.kind == "name" and self.next.text.upper() == word)

    def take_mark(self, mark: str) -> bool:
        return self._take_if(self.next.kind == "mark" and self.next.text == mark)

    def _take_if(self, is_so: bool) -> bool:
        if is_so:
            self.take()
        return is_so

    def refusal(self, problem: str, hint: str = "", *, column: int | None = None) -> SearchInvalid:
        """An error at the next token, or at another column."""
        return refusal(self._place, column or self.next.column, problem, hint)


def check_keepable(text: str, place: str) -> None:
    """Raises SearchInvalid where the text has a character that is in nothing that is kept."""
    if found := UNKEEPABLE.search(text):
        raise refusal(place, found.start() + 1, f"no text can hold the character {found[0]!r}")


def refusal(place: str, column: int, problem: str, hint: str = "") -> SearchInvalid:
    field = place.partition("[")[0]
    return SearchInvalid(f"{place}, column {column}: {problem}.", hint=hint, field=field, column=column)


def shown(text: str) -> str:
    """A piece of input as errors repeat it: in quotes, on one line, its start alone where it is long."""
    piece = repr(text[:_SHOWN])
    return piece if len(text) <= _SHOWN else f"{piece}…"


def shown_token(token: Token) -> str:
    return shown(token.text) if token.kind != "end" else "the end"
