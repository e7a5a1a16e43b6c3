from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from environments.conftest import MakePackage
from environments.wheels import make_wheel
from penstock.environments import Environments, describe_lock, lock_package
from penstock.environments.locked import LOCK
from penstock.environments.requirements import read_lock
from penstock.errors import EnvironmentUnbuildable, PackageExists, PackageInvalid
from penstock.package import PackagedModel


def test_a_locked_package_stays_as_it_was_locked(
    environments: Environments, make_package: MakePackage, tmp_path: Path, wheels: Path
) -> None:
    package = make_package("alpha>=1", python="3.11.2")
    for version in ("2.0",):  # not there yet when it is locked
        (wheels / f"alpha-{version}-py3-none-any.whl").rename(tmp_path / "later.whl")
    locked, lock = lock_package(package, tmp_path / "locked", environments)
    (tmp_path / "later.whl").rename(wheels / "alpha-2.0-py3-none-any.whl")
    assert [f"{p.name}=={p.version}" for p in lock.pins if p.name in ("alpha", "beta")] == ["alpha==1.0", "beta==1.0"]
    assert lock.hashed
    assert lock.python == "3.11"
    assert read_lock(locked.path) == lock
    assert locked.sealed
    assert locked.digest != package.digest
    assert str(wheels) not in (locked.path / LOCK).read_text()
    built = environments.ensure(locked, trust_code=True)
    unlocked = environments.ensure(package, trust_code=True)
    for environment, version in ((built, "1.0"), (unlocked, "2.0")):
        asked = [str(environment.python), "-c", "import alpha; print(alpha.__version__)"]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == version


def test_a_lock_of_other_requirements_still_says_which_versions(
    environments: Environments, make_package: MakePackage, tmp_path: Path
) -> None:
    locked, _ = lock_package(make_package("alpha==1.0"), tmp_path / "locked", environments)
    (locked.path / "requirements.txt").write_text("beta")
    (locked.path / "SHA256SUMS").unlink()
    changed = PackagedModel.open(locked.path)
    assert describe_lock(changed).endswith("made from other requirements than the package lists now")
    built = environments.ensure(changed, trust_code=True)
    code = "import beta, importlib.util; print(beta.__version__, importlib.util.find_spec('alpha'))"
    done = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.0 None"


def test_locking_again_makes_a_new_lock(environments: Environments, make_package: MakePackage, tmp_path: Path) -> None:
    locked, first = lock_package(make_package("alpha"), tmp_path / "one", environments)
    make_wheel(tmp_path / "wheels", "alpha", "3.0")
    _, second = lock_package(locked, tmp_path / "two", environments)
    assert {pin.version for pin in first.pins if pin.name == "alpha"} == {"2.0"}
    assert {pin.version for pin in second.pins if pin.name == "alpha"} == {"3.0"}


def test_what_cannot_be_locked_is_not_written(
    environments: Environments, make_package: MakePackage, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentUnbuildable, match=r"cannot be locked.*gamma"):
        lock_package(make_package("gamma"), tmp_path / "locked", environments)
    assert not (tmp_path / "locked").exists()
    with pytest.raises(EnvironmentUnbuildable, match=r"3\.9"):
        lock_package(make_package("alpha", python="3.9.1", name="old"), tmp_path / "locked", environments)
    fine = make_package("alpha", name="fine")
    with pytest.raises(PackageExists):
        lock_package(fine, fine.path, environments)


def test_a_damaged_lock_is_refused(environments: Environments, make_package: MakePackage) -> None:
    package = make_package("alpha", files={LOCK: "-e .\n"})
    with pytest.raises(PackageInvalid, match="invalid line"):
        environments.ensure(package, trust_code=True)
