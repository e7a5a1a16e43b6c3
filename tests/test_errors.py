"""Errors that another process wrote down come back as what they were."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError, Overloaded, PenstockError, ProofFailed, RegistryNotFound, error_of


@pytest.mark.parametrize("kind", [PenstockError, ConfigError, ProofFailed, RegistryNotFound])
def test_the_class_comes_back_by_its_code(kind: type[PenstockError]) -> None:
    error = error_of(kind.code, "It is so.", "Do this.")
    assert type(error) is kind
    assert str(error) == "It is so. Do this."


@pytest.mark.parametrize("code", [Overloaded.code, "of another release"])
def test_what_cannot_be_made_of_a_message_is_the_root(code: str) -> None:
    assert type(error_of(code, "It is so.")) is PenstockError


def test_codes_are_unique() -> None:
    kinds = [PenstockError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = [kind.code for kind in kinds if kind.__module__.startswith("penstock.errors")]
    assert len(ours) == len(set(ours)) > 40
