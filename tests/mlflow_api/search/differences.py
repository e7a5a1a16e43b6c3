"""Where we read a filter or an order otherwise than MLflow, and why. Anything else is a mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_ALL = ("runs", "experiments", "registered models", "model versions", "logged models")


@dataclass(frozen=True)
class Difference:
    """`ours` is what we do where MLflow does not. `asked` is found in the text, or in an order's clauses joined by
    lines; `error` in our refusal."""

    name: str
    ours: Literal["accepts", "refuses", "understands"]
    asked: str
    error: str = ""
    entities: tuple[str, ...] = _ALL

    def covers(self, entity: str, asked: str, ours: str, error: str) -> bool:
        return (
            self.ours == ours
            and entity in self.entities
            and re.search(self.asked, asked) is not None
            and re.search(self.error, error) is not None
        )


_REGISTRY = ("registered models", "model versions")
_LOGGED = ("logged models",)

DIFFERENCES = [
    # -- MLflow refuses, by accident as it seems, and mostly with status 500 ------------------------------------------
    Difference("a filter of blanks says nothing, as an empty one does", "accepts", r"\A\s+\Z"),
    Difference("exponents may have a plus", "accepts", r"\de\+\d"),
    Difference("unquoted names may be words of SQL, digits, and have $ and #", "accepts", r"\.(from|1|a\$b|a#b)\b"),
    Difference("a backslash is a character, also before the closing quote", "accepts", r"\\' AND"),
    Difference("numbers may be beyond 64 bits", "accepts", r"\d{20}"),
    Difference("the words of IS NOT NULL may stand on two lines, and AND before it may be missing", "accepts",
               r"NOT\nNULL|' tags\.\w+ (?i:is\s+not\s+null)"),
    Difference("blanks in an order mean nothing", "accepts", r"(?m) $|^ |\S  \S"),
    Difference("attributes and prefixes may be quoted", "accepts", r"`(name|tags?|attributes?|params|metrics)`",
               entities=(*_REGISTRY, *_LOGGED)),
    Difference("registered models are sorted by when they were made, too", "accepts", r"(?m)^creation_timestamp",
               entities=("registered models",)),
    Difference("an attribute has all its names after a prefix, too", "accepts",
               r"attributes\.(creation_time|creation_timestamp|last_updated_timestamp)\b", entities=_LOGGED),
    Difference("no word is special as a value", "accepts", r"= true$", entities=_LOGGED),
    Difference("a status may be the one that the REST API has", "accepts", r"'LOGGED_MODEL_", entities=_LOGGED),
    Difference("a list may be one number", "accepts", r"\(\d+\)", entities=_LOGGED),
    # -- MLflow accepts what is a mistake -----------------------------------------------------------------------------
    Difference("nothing is sorted by twice", "refuses", "", r"is sorted by twice", ("experiments", *_LOGGED)),
    Difference("texts side by side are not one text", "refuses", r"(['\"])\s+['\"]", r"a comma or the end of the list"),
    Difference("a list is no list of lists, and is not empty", "refuses", r"\(\(|\(\)", r"a list has texts"),
    Difference("a name between quotes is quoted as a whole", "refuses", r"\w`|`\.", r"an operator is expected|no dot"),
    Difference("a name begins right after the dot, and is one", "refuses", r"\. |\.\.", r"after the dot|no dot"),
    Difference("a quote inside a text is doubled, not escaped", "refuses", r"\\'s", r"A quote inside a text"),
    Difference("a number in quotes is nothing but one", "refuses", r"' 1 '", r"a whole number", ("model versions",)),
    Difference("NaN and infinity are no numbers to compare with", "refuses", r"nan|inf", r"is compared with a number",
               _LOGGED),
    Difference("unquoted texts are words or numbers", "refuses", r"(?i:like) [^'\"]|= -?\d+\w", "", _LOGGED),
    Difference("an id that is a number has no pattern", "refuses", r"experiment_id (?i:i?like)", r"by I?LIKE", _LOGGED),
    Difference("logged models that are there are active: nothing else is to be found", "refuses", r"lifecycle_stage",
               r"have no attribute", _LOGGED),
    # -- both accept --------------------------------------------------------------------------------------------------
    Difference("a doubled quote is one quote of the text", "understands", r"''|``"),
    Difference("a number in a list is the text that it is elsewhere", "understands", r"(?i)in \([^)]*\b\d+[,)]",
               entities=_LOGGED),
    Difference("double quotes are quotes, and so are single ones around keys", "understands", r"\"|\.'",
               entities=_LOGGED),
]  # fmt: skip
