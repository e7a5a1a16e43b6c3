"""The fields of a request, as MLflow takes them: by name from the query of a GET or the JSON object of a body, lenient
about unknown ones and about numbers in quotes, and strict about the rest, with MLflow's own messages.

Source: MLflow 3.18, `server/handlers.py`: a body that is no JSON is taken for an empty one, so that what is reported is
the first field that is missing; here together with what is wrong with the body.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from penstock.errors import TrackingInvalid
from penstock.hub.bodies.json_body import check_keepable, read_json

T = TypeVar("T", bound=str)

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
_MAX_QUERY_FIELDS = 2000
_EXPERIMENT_ID = re.compile(r"-?[0-9]+")
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Fields:
    """A request's fields. Every reader raises TrackingInvalid, naming the field."""

    def __init__(self, values: Mapping[str, Any], place: str = "", *, of_query: bool = False, unread: str = "") -> None:
        """`unread` is why a body that there is says nothing."""
        self._values = values
        self._place = place
        self._of_query = of_query
        self._unread = unread

    @classmethod
    def of_query(cls, query: bytes) -> Fields:
        """Repeated keys are lists. Raises TrackingInvalid."""
        values: dict[str, Any] = {}
        try:
            pairs = parse_qsl(
                query.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
            )
        except UnicodeDecodeError:
            raise TrackingInvalid("The query is not UTF-8.") from None
        except ValueError:
            raise TrackingInvalid(f"The query has more than {_MAX_QUERY_FIELDS} fields.") from None
        for key, value in pairs:
            check_keepable(value)
            before = values.get(key)
            values[key] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
        return cls(values, of_query=True)

    @classmethod
    def of_json(cls, body: bytes, encoding: bytes | None = None) -> Fields:
        """Bare NaN and Infinity are read, too; `encoding` is the request's Content-Encoding, which is none that is
        read. Raises TrackingInvalid for texts that nothing can keep."""
        found, unread = read_json(body, encoding)
        return cls(found if isinstance(found, dict) else {}, unread=unread)

    @property
    def values(self) -> Mapping[str, Any]:
        """All of them, as they came."""
        return self._values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """The value as it came; None where there is none."""
        return self._values.get(name)

    def text(self, *names: str, default: str = "") -> str:
        """The first of these fields that there is. The empty text counts as missing."""
        for name in names:
            value = self._single(name)
            if value is None or value == "":
                continue
            if isinstance(value, str):
                return value
            raise self._invalid(name, value)
        return default

    def required(self, *names: str) -> str:
        """Any of these fields, which are names for one thing."""
        value = self.text(*names)
        if not value:
            raise self._missing(names[0], ". See the API docs for more information about request parameters.")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """64 bits, perhaps in quotes. Missing without a default is an error."""
        value = self._single(name)
        if value is None:
            if default is None:
                raise self._missing(name)
            return default
        number = _integer(value)
        if number is None or not MIN_INTEGER <= number <= MAX_INTEGER:
            raise self._invalid(name, value)
        return number

    def number(self, name: str) -> float:
        """A float; NaN and Infinity as words or bare."""
        value = self._values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:  # an integer beyond all floats
                raise self._invalid(name, value) from None
        if value is None or value == "":
            raise self._missing(name)
        if isinstance(value, str):
            try:
                return _WORDS[value] if value in _WORDS else float(value)
            except ValueError:
                pass
        raise self._invalid(name, value)

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise self._invalid(name, value)

    def choice(self, name: str, allowed: Iterable[T], default: T | None = None) -> T | None:
        """One of some words."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        for word in allowed:
            if value == word:
                return word
        raise self._invalid(name, value)

    def texts(self, name: str) -> list[str]:
        """A list of texts; in a query, one alone is a list of one."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) and not self._of_query:
            raise self._invalid(name, value)
        found = value if isinstance(value, list) else [value]
        for each in found:
            if not isinstance(each, str):
                raise self._invalid(name, value)
        return list(found)

    def objects(self, name: str) -> list[dict[str, Any]]:
        """A list of objects, as they came."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self._invalid(name, value)
        return value

    def entry(self, name: str, place: int) -> Fields:
        """One of these objects."""
        return Fields(self._values[name][place], f"{self._place}{name}[{place}].")

    def each(self, name: str) -> list[Fields]:
        """All of these objects."""
        return [self.entry(name, place) for place in range(len(self.objects(name)))]

    def present(self, name: str) -> None:
        """Raises TrackingInvalid where there is no such field."""
        if self._values.get(name) in (None, ""):
            raise self._missing(name)

    def inner(self, name: str) -> Fields:
        """An object. Missing is an error."""
        value = self._values.get(name)
        if value is None:
            raise self._missing(name)
        if not isinstance(value, dict):
            raise self._invalid(name, value)
        return Fields(value, f"{self._place}{name}.")

    def experiment_id(self) -> str:
        """Experiments have numbers: another text is no id at all, rather than one of an experiment that is absent."""
        return self._number_of_experiment("experiment_id", self.required("experiment_id"))

    def experiment_ids(self) -> list[str]:
        return [self._number_of_experiment("experiment_ids", each) for each in self.texts("experiment_ids")]

    def _number_of_experiment(self, name: str, text: str) -> str:
        if not _EXPERIMENT_ID.fullmatch(text):
            raise self._invalid(name, text)
        return text

    def _single(self, name: str) -> Any:
        """A field's value. Of those that a query repeats the first one counts, as in MLflow."""
        value = self._values.get(name)
        return value[0] if self._of_query and isinstance(value, list) else value

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """A list of objects with key and value, as tags and params come; a missing value is the empty text."""
        found = []
        for place, given in enumerate(self.objects(name)):
            key, value = given.get("key"), given.get("value")
            if type(key) is not str or not key or type(value) is not str:
                entry = self.entry(name, place)
                key, value = entry.required("key"), entry.text("value")
            found.append((key, value))
        return found

    def _missing(self, name: str, ending: str = ".") -> TrackingInvalid:
        ending = f": {self._unread}." if self._unread else ending
        return TrackingInvalid(f"Missing value for required parameter '{self._place}{name}'{ending}", field=name)

    def _invalid(self, name: str, value: object) -> TrackingInvalid:
        shown = json.dumps(value, default=str, ensure_ascii=True)[:200]
        return TrackingInvalid(
            f"Invalid value {shown} for parameter '{self._place}{name}' supplied. "
            "See the API docs for more information about request parameters.",
            field=name,
        )


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        # What is beyond 64 bits comes as the nearest float, and the nearest to some is the least whole number itself.
        return int(value) if value.is_integer() and value > MIN_INTEGER else None
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return None
    return None


def as_mapping(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Of several values for one key the last one stays, as in MLflow."""
    return dict(pairs)
