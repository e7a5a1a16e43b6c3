"""What another reading of the settings changes, and what only a restart would."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.assembly.live.changes import applied, changes_of, default_of, waiting_for_restart
from penstock.assembly.references import parse_models
from penstock.config import ServerSettings, per_model_settings
from penstock.errors import ConfigError


def settings(*models: str, own: dict[str, dict[str, Any]] | None = None, **others: Any) -> ServerSettings:
    return ServerSettings(models=models, own=own or {}, **others)


def names(before: ServerSettings, after: ServerSettings, **members: list[str]) -> tuple[list[str], ...]:
    changes = changes_of(before, after, members)
    return tuple(
        sorted(r.served_as for r in references) for references in (changes.added, changes.changed, changes.removed)
    )


def test_models_come_go_and_become_others() -> None:
    before = settings("iris", "a=models:/a/1", "old")
    after = settings("iris", "a=models:/a/2", "new")
    assert names(before, after) == (["new"], ["a"], ["old"])
    assert str(changes_of(before, after)) == "adding new; changing a; removing old"
    assert changes_of(before, after).any
    same = changes_of(before, before)
    assert (same.any, str(same)) == (False, "no model has changed")


def test_the_order_of_models_is_no_change() -> None:
    assert names(settings("a", "b"), settings("b", "a")) == ([], [], [])


@pytest.mark.parametrize("name", per_model_settings())
def test_every_setting_of_one_model_changes_that_model_alone(name: str) -> None:
    from config.test_settings import example

    models = ("a", "b")
    own = {"a": {name: example(name)[1]}}
    assert names(settings(*models), settings(*models, own=own)) == ([], ["a"], [])


def test_a_setting_of_all_changes_those_that_have_none_of_their_own() -> None:
    own = {"b": {"max_rows": 7}}
    assert names(settings("a", "b", own=own), settings("a", "b", own=own, max_rows=9)) == ([], ["a"], [])


def test_a_pattern_changes_with_what_it_serves() -> None:
    before = settings("team-*", own={"team-*": {"max_rows": 5}})
    assert names(before, settings("team-*", own={"team-*": {"max_rows": 6}})) == ([], ["team-*"], [])
    single = settings("team-*", own={"team-*": {"max_rows": 5}, "team-a": {"max_rows": 8}})
    assert names(before, single) == ([], [], [])
    assert names(before, single, **{"team-*": ["team-a", "team-b"]}) == ([], ["team-*"], [])
    apart = settings("team-*", "team-a", own={"team-*": {"max_rows": 5}, "team-a": {"max_rows": 8}})
    assert names(before, apart, **{"team-*": ["team-a", "team-b"]}) == (["team-a"], [], [])  # it leaves, they stay
    assert names(before, settings("models:/team-*@x", own={"team-*": {"max_rows": 5}})) == ([], ["team-*"], [])


def test_models_that_no_server_could_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="Two models"):
        changes_of(settings("a"), settings("a", "a=models:/b/1"))
    with pytest.raises(ConfigError, match="default model"):
        changes_of(settings("a"), settings("a", default_model="b"))


def test_what_applies_to_the_whole_server_waits_for_a_restart() -> None:
    before = settings("a", max_rows=1)
    after = settings("b", own={"b": {"timeout": 2.0}}, port=9, workers=3, max_rows=4, default_model="b")
    assert waiting_for_restart(before, after) == ["port", "workers"]
    made = applied(before, after)
    assert (made.models, made.port, made.workers, made.max_rows) == (("b",), 8080, 1, 4)
    assert (made.default_model, made.of("b").timeout) == ("b", 2.0)


@pytest.mark.parametrize(
    ("models", "named", "before", "expected"),
    [
        (("a",), None, None, "a"),
        (("a", "b"), None, None, None),
        (("a", "b"), None, "a", "a"),  # the one that did it goes on
        (("b", "c"), None, "a", None),  # unless it is gone
        (("b",), None, "a", "b"),
        (("a", "b"), "b", "a", "b"),
        (("a", "x-*"), None, None, None),
        (("a", "x-*"), None, "a", "a"),
    ],
)
def test_the_default_model_stays_while_it_is_served(
    models: tuple[str, ...], named: str | None, before: str | None, expected: str | None
) -> None:
    made = settings(*models, default_model=named)
    assert default_of(made, parse_models(made), before) == expected
