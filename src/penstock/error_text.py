"""What an error says, whatever it is: these functions never fail, and what they return can be encoded.

Errors come from models, libraries and files. Their text may hold half characters (a file name that is not UTF-8), and
be endless; asking for it runs their code, which may raise anything.
"""

from __future__ import annotations

import re
import traceback

# A message, a traceback: what is longer is cut.
MAX_TEXT = 20_000

_CHAIN = ("__cause__", "__context__", "__suppress_context__", "__traceback__", "exceptions")

# Links of a chain of causes, and members of groups, that are looked at before a traceback is made of them.
_MAX_LINKS = 200


def encodable(text: object) -> str:
    """The object as text that UTF-8 can hold: half characters become escapes, `\\udce9`. Never fails."""
    if type(text) is str and text.isascii():
        return text
    try:
        plain = text if isinstance(text, str) else str(text)
        return str.encode(plain, "utf-8", "backslashreplace").decode()
    except BaseException:  # code of a foreign class, which may even say that the program is to end
        return f"({kind_of(text)} without a text)"


# What a terminal obeys rather than shows: C0 and C1, among them ESC; Unicode's own ends of lines; marks that turn the
# direction of text; half characters.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_OBEYED_IN_LINES = re.compile(_OBEYED.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))

# A password in a URL: what stands before the last @ of its host part, after the first colon.
_PASSWORD = re.compile(r"(://[^:/?#@\s'\"]*):[^/?#\s'\"]*@")
_QUERY_SECRET = re.compile(
    r"([?&](?:[\w-]*password|passwd|pwd|[\w.-]*token|[\w-]*secret[\w-]*|sig|signature|[\w-]*api_?key)=)[^&#\s'\"]+",
    re.IGNORECASE,
)


def printable(text: object) -> str:
    """The text on one line, for a terminal or a log: what a terminal obeys is written as escapes, `\\x1b`, `\\n`. Never
    fails."""
    return _OBEYED.sub(_escape, encodable(text))


def printable_lines(text: object) -> str:
    """The same of a text whose lines and tabs are ours."""
    return _OBEYED_IN_LINES.sub(_escape, encodable(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def without_passwords(text: str) -> str:
    """The text with the passwords in its URLs masked: `postgresql://me:***@host/db`, `?token=***`."""
    if "://" not in text:
        return text
    return _QUERY_SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def kind_of(thing: object) -> str:
    """The name of its class. Never fails."""
    try:
        return encodable(type.__dict__["__name__"].__get__(type(thing)))
    except BaseException:
        return "object"


def text_of(error: BaseException, limit: int = MAX_TEXT) -> str:
    """An error's own words, at most so many characters. Never fails."""
    text = encodable(error)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def traceback_of(error: BaseException, limit: int = MAX_TEXT) -> str:
    """An error as Python prints it, with its causes. Of one that is too long the middle is left out. Never fails."""
    try:
        lines = traceback.format_exception(error) if _prints(error) else _plainly(error)
        text = encodable("".join(lines)).rstrip("\n")
    except BaseException:
        text = f"{kind_of(error)}: {text_of(error)}"
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}\n…\n{text[-half:]}"


def _prints(error: BaseException) -> bool:
    """Whether Python can follow the chain of causes to its end: it is no code of the errors' classes."""
    waiting, seen = [error], 0
    while waiting and seen < _MAX_LINKS:
        link = waiting.pop()
        seen += 1
        for kind in type.__dict__["__mro__"].__get__(type(link)):
            if kind.__module__ != "builtins" and not kind.__dict__.keys().isdisjoint(_CHAIN):
                return False
        waiting += [further for further in (link.__cause__, link.__context__) if further is not None]
        if isinstance(link, BaseExceptionGroup):
            waiting += link.exceptions
    return not waiting


def _plainly(error: BaseException) -> list[str]:
    """The error alone, without its causes."""
    own = BaseException.__dict__["__traceback__"].__get__(error)
    return [*traceback.format_tb(own), f"{kind_of(error)}: {text_of(error)}"]
