"""The file of tokens: a line for each, `NAME ROLE SHA256`, and for some models alone a fourth word, `fraud,churn`.

A line is what one appends, and takes away to revoke; blank lines and what follows a # say nothing. The file holds
digests alone, so that whoever reads it gets in nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.access.credentials import digest_of, is_token_name
from penstock.access.policy import GATEWAY_ROLES, GatewayRole
from penstock.access.principal import OPERATOR, Principal
from penstock.access.tokens import KnownTokens
from penstock.errors import ConfigError

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_MADE_BY = "penstock token add NAME --role ROLE makes a token and its line."


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One token. `models` are those that it is for, all where that is empty."""

    name: str
    role: GatewayRole
    digest: str
    models: tuple[str, ...] = ()

    @property
    def principal(self) -> Principal:
        return Principal(self.name, frozenset({self.role}), frozenset(self.models) or None)

    def __str__(self) -> str:
        return " ".join((self.name, self.role, self.digest, *([",".join(self.models)] if self.models else [])))


def parse_tokens(content: bytes) -> list[TokenLine]:
    """The tokens in a file. Raises ConfigError, which names the line and repeats nothing that might be a token."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("it is no text in UTF-8.") from None
    found: list[TokenLine] = []
    names, digests = set[str](), set[str]()
    for number, row in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if words := row.partition("#")[0].split():
            line = _parse_line(number, words)
            if line.name in names or line.digest in digests:
                raise ConfigError(f"line {number} ({line.name}) repeats the name or the digest of a line before it.")
            names.add(line.name)
            digests.add(line.digest)
            found.append(line)
    return found


def known_tokens(lines: Iterable[TokenLine], operator: str = "") -> KnownTokens:
    """What lets in the holders of these tokens, and of the `operator`'s where there is one; and nobody else."""
    principals = {line.digest: line.principal for line in lines}
    if operator:
        principals[digest_of(operator)] = OPERATOR
    return KnownTokens(principals)


def _parse_line(number: int, words: list[str]) -> TokenLine:
    if len(words) not in (3, 4):
        raise ConfigError(f"line {number} must be NAME ROLE SHA256, or these and MODEL,MODEL.", hint=_MADE_BY)
    name, role, digest, *rest = words
    if not is_token_name(name):
        raise ConfigError(f"line {number} must begin with a name of letters, digits and . _ @ + -", hint=_MADE_BY)
    if role not in GATEWAY_ROLES:
        roles = ", ".join(GATEWAY_ROLES)
        raise ConfigError(f"line {number} ({name}) must have one of the roles {roles} as its second word.")
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(
            f"line {number} ({name}) must have the SHA-256 of the token, 64 hexadecimal digits, as its third word.",
            hint=_MADE_BY,
        )
    models = tuple(filter(None, rest[0].split(","))) if rest else ()
    if rest and (role != "predict" or not models):
        raise ConfigError(f"line {number} ({name}) names models, which only a token with the role predict may have.")
    return TokenLine(name, role, digest.lower(), models)
