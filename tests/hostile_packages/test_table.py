"""The table of hostile packages; those that a look tells are looked at, in time and without a traceback."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hostile_packages.package import REFUSED, HostilePackage
from hostile_packages.table import TABLE
from penstock.cli.inspect import inspect
from penstock.environments.requirements import read_wanted
from penstock.errors import PenstockError
from penstock.package import PackagedModel

QUICK = [hostile for hostile in TABLE if hostile.quick]


def test_there_are_many_packages_and_every_one_has_a_name_in_its_kind() -> None:
    assert len(TABLE) >= 90
    assert [key for key, count in Counter((h.kind, h.name) for h in TABLE).items() if count > 1] == []


def look(place: Path) -> Any:
    """All that is done with a package before it is loaded."""
    package = PackagedModel.open(place)
    package.verify()
    package.check_trust()
    read_wanted(package, trust_code=False)
    return package.example()


@pytest.mark.parametrize("hostile", QUICK, ids=lambda hostile: f"{hostile.kind}: {hostile.name}")
def test_looking_at_it_ends_in_time_and_in_one_sentence(hostile: HostilePackage, tmp_path: Path) -> None:
    place = tmp_path / "package"
    hostile.make(place)
    began = time.process_time()
    refused: PenstockError | None = None
    try:
        look(place)
    except PenstockError as error:
        refused = error
    assert refused is not None or hostile.outcomes != {REFUSED}
    assert time.process_time() - began < 3.0
    shown = CliRunner().invoke(inspect, [str(place)])
    assert shown.exception is None or isinstance(shown.exception, (PenstockError, SystemExit))
    assert "\x1b" not in shown.output
