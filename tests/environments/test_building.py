"""Environments really built by uv, from wheels made on the spot."""

from __future__ import annotations

import errno
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from environments.conftest import MakePackage
from environments.wheels import make_wheel
from penstock.cli.remedies import hint_of
from penstock.environments import Environment, Environments
from penstock.environments.locked import LOCK, Lock
from penstock.environments.requirements import read_wanted
from penstock.environments.resolving import asked_digest, resolve_for_all
from penstock.environments.uv import find_uv
from penstock.errors import CodeNotTrusted, DependencyMissing, EnvironmentUnbuildable, SealBroken
from penstock.package import PackagedModel
from penstock.package.seal import write_seal

SKLEARN = {"sklearn": {"pickled_model": "model.skops"}}


def ask(environment: Environment, expression: str) -> str:
    """What the environment's Python answers."""
    code = f"import alpha, beta, numpy; print({expression})"
    done = subprocess.run([environment.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def left_behind(environments: Environments) -> list[str]:
    """What is neither complete, nor a lock, nor a cache."""
    kept = {entry.digest for entry in environments.entries()}
    names = {path.name for path in environments.root.iterdir()} - kept - {"uv", "resolved"}
    return sorted(name for name in names if not name.endswith(".lock"))


def test_two_models_with_conflicting_libraries_have_an_environment_each(
    environments: Environments, make_package: MakePackage
) -> None:
    one = environments.ensure(make_package("alpha==1.0", name="one"), trust_code=True)
    two = environments.ensure(make_package("alpha==2.0", name="two"), trust_code=True)
    assert ask(one, "alpha.__version__ + beta.__version__") == "1.01.0"
    assert ask(two, "alpha.__version__ + beta.__version__") == "2.02.0"
    assert one.version == platform.python_version()
    assert left_behind(environments) == []


def test_versions_that_agree_share_one(environments: Environments, make_package: MakePackage, tmp_path: Path) -> None:
    first = environments.ensure(make_package("alpha==1.0", name="one"), trust_code=True)
    again = environments.ensure(make_package("alpha==1.0", "beta", name="two"), trust_code=True)
    assert first == again

    def no_uv() -> Path:
        raise AssertionError("what is there needs no uv")

    elsewhere = Environments(environments.root, wheels=tmp_path / "wheels", program=no_uv)
    assert elsewhere.ensure(PackagedModel.open(tmp_path / "one"), trust_code=True) == first
    elsewhere.close()


def test_a_package_that_nobody_trusts_builds_nothing_of_its_own(
    environments: Environments, make_package: MakePackage, wheels: Path
) -> None:
    with pytest.raises(CodeNotTrusted):
        environments.ensure(make_package("alpha==1.0", name="code"))
    ran = wheels.parent / "ran"
    startup = f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n"
    make_wheel(wheels, "evil", "1.0", files={"evil.pth": startup, "evil.py": ""})
    environments.ensure(make_package("evil==1.0", name="trusted"), trust_code=True)
    assert ran.exists()
    ran.unlink()
    for name in ("onnxruntime", "gamma"):
        make_wheel(wheels, name, "1.0")
    onnx = make_package("evil==1.0", "onnxruntime", flavors={"onnx": {"data": "model.onnx"}}, name="data")
    (onnx.path / "model.onnx").touch()
    environments.ensure(onnx)
    assert not ran.exists()
    # Its lock chooses versions at most.
    lock = "".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("evil", "gamma"))
    (onnx.path / LOCK).write_text(lock)
    environments.ensure(onnx)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("alpha==3.0", "no version of alpha==3.0", "wheel for alpha"),
        ("gamma==1.0", "gamma was not found", "wheel for gamma"),
        ("beta==1.0", "alpha.*beta", ""),
        ("numpy<2", "numpy", "needs NumPy 2"),
    ],
)
def test_what_cannot_be_resolved_is_named(
    environments: Environments, make_package: MakePackage, line: str, says: str, hint: str
) -> None:
    package = make_package("alpha==2.0" if "beta" in line else "beta", line)
    with pytest.raises(EnvironmentUnbuildable, match=says) as caught:
        environments.ensure(package, trust_code=True)
    assert caught.value.message.startswith("The requirements of model cannot be resolved: ")
    assert hint in hint_of(caught.value)
    assert len(caught.value.message) < 700
    assert environments.entries() == []


def test_an_index_that_is_not_there_is_said(
    tmp_path: Path, make_package: MakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    environments = Environments(tmp_path / "environments")
    with pytest.raises(EnvironmentUnbuildable, match=r"127\.0\.0\.1:9") as caught:
        environments.ensure(make_package("alpha"), trust_code=True)
    assert "--wheels" in hint_of(caught.value)


def test_a_directory_of_wheels_that_is_not_there_is_said(tmp_path: Path, make_package: MakePackage) -> None:
    environments = Environments(tmp_path / "environments", wheels=tmp_path / "nowhere")
    with pytest.raises(EnvironmentUnbuildable, match="nowhere does not exist") as caught:
        environments.ensure(make_package("alpha"), trust_code=True)
    assert caught.value.hint == "The setting wheels names this directory."
    assert hint_of(caught.value) == "--wheels names this directory."


def test_a_distribution_without_wheels_needs_trust(
    environments: Environments, make_package: MakePackage, wheels: Path
) -> None:
    (wheels / "onnxruntime-1.0.tar.gz").write_bytes(b"whatever it is, it is not opened")
    onnx = make_package("onnxruntime==1.0", flavors={"onnx": {"data": "model.onnx"}})
    (onnx.path / "model.onnx").touch()
    with pytest.raises(EnvironmentUnbuildable) as caught:
        environments.ensure(onnx)
    assert "--trust-code" in hint_of(caught.value)


def test_missing_uv_is_said(tmp_path: Path, make_package: MakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyMissing) as caught:
        Environments(tmp_path / "environments").ensure(make_package("alpha"), trust_code=True)
    assert "penstock[environments]" in hint_of(caught.value)
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_uv() == program


def test_missing_wheels_directory_is_said(tmp_path: Path, make_package: MakePackage) -> None:
    with pytest.raises(EnvironmentUnbuildable, match="does not exist"):
        Environments(tmp_path / "e", wheels=tmp_path / "nowhere").ensure(make_package("alpha"), trust_code=True)


def test_a_python_that_is_not_at_hand_is_named(
    environments: Environments,
    make_package: MakePackage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    package = make_package("alpha==1.0", python="3.99.1", name="new")
    with pytest.raises(EnvironmentUnbuildable, match=r"Python 3\.99\.1, which is not installed"):
        environments.ensure(package, trust_code=True, strict_env=True)
    assert environments.ensure(package, trust_code=True).version == platform.python_version()
    assert "runs on Python" in caplog.text
    with pytest.raises(EnvironmentUnbuildable, match=r"models run on 3\.11 or newer"):
        environments.ensure(make_package("alpha==1.0", python="3.9.2", name="old"), trust_code=True)


def test_a_broken_build_leaves_nothing(environments: Environments, make_package: MakePackage, wheels: Path) -> None:
    package = make_package("alpha==1.0", "broken")
    make_wheel(wheels, "broken", "1.0", files={"numpy.py": "raise OSError('no such instruction')"})
    (wheels / "numpy-2.0-py3-none-any.whl").unlink()
    make_wheel(wheels, "numpy", "2.0", files={"numpy_is_elsewhere.py": ""})
    with pytest.raises(EnvironmentUnbuildable, match="does not work: OSError: no such instruction"):
        environments.ensure(package, trust_code=True)
    assert environments.entries() == []
    assert left_behind(environments) == []


def test_a_wheel_that_was_exchanged_is_not_installed(
    environments: Environments, make_package: MakePackage, wheels: Path
) -> None:
    package = make_package("alpha==1.0")
    wanted = read_wanted(package, trust_code=True)
    lock = resolve_for_all(wanted, "3.11", environments.uv(), "It failed")
    (package.path / LOCK).write_text(Lock(lock.pins, "3.11", asked_digest(wanted)).file)
    make_wheel(wheels, "alpha", "1.0", requires=["beta==1.0"], files={"alpha.py": "print('other')"})
    shutil.rmtree(environments.uv().cache)  # where uv still has the right one
    with pytest.raises(EnvironmentUnbuildable, match="alpha") as caught:
        environments.ensure(package, trust_code=True)
    assert "Check the files" in hint_of(caught.value)
    assert left_behind(environments) == []


def test_two_at_once_build_it_once(
    environments: Environments, make_package: MakePackage, tmp_path: Path, wheels: Path
) -> None:
    package = make_package("alpha==1.0")
    starts: list[None] = []

    def program() -> Path:
        starts.append(None)
        return find_uv()

    others = [Environments(environments.root, wheels=wheels, program=program) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda each: each.ensure(package, trust_code=True), others))
    assert len(set(made)) == 1
    assert len(environments.entries()) == 1
    assert left_behind(environments) == []
    for other in others:
        other.close()


_BUILD = """
import sys
from pathlib import Path
from penstock.environments import Environments
from penstock.package import PackagedModel
from penstock.package.seal import write_seal
root, wheels, uv, package = map(Path, sys.argv[1:])
Environments(root, wheels=wheels, program=lambda: uv).ensure(PackagedModel.open(package), trust_code=True)
"""


def _slow_uv(place: Path) -> Path:
    """uv, but an installation says that it has begun, and waits until it may go on."""
    program = place / "slow-uv"
    program.write_text(
        f"#!/bin/sh\ncase \"$*\" in *'pip install'*) echo > {place}/begun; cat {place}/go > /dev/null;; esac\n"
        f'exec {find_uv()} "$@"\n'
    )
    program.chmod(0o755)
    os.mkfifo(place / "begun")
    os.mkfifo(place / "go")
    return program


def test_a_builder_that_is_killed_is_followed_by_another(
    environments: Environments, make_package: MakePackage, tmp_path: Path, wheels: Path
) -> None:
    package = make_package("alpha==1.0")
    arguments = [environments.root, wheels, _slow_uv(tmp_path), package.path]
    builder = subprocess.Popen([sys.executable, "-c", _BUILD, *map(str, arguments)])
    begun = os.open(tmp_path / "begun", os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([begun], [], [], 120)[0], "it did not begin"  # in the middle of its work
    os.close(begun)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert environments.entries() == []
    assert left_behind(environments)
    done = threading.Event()

    def build() -> Environment:
        try:
            return environments.ensure(package, trust_code=True)
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(build)
        # uv itself outlived its starter and still writes: it is waited for.
        assert not done.wait(0.3)
        (tmp_path / "go").write_bytes(b"")
        assert ask(built.result(), "alpha.__version__") == "1.0"
    assert left_behind(environments) == []


def test_a_full_disk_leaves_nothing(
    environments: Environments, make_package: MakePackage, tmp_path: Path, wheels: Path
) -> None:
    """The kernel refuses more than so many bytes a file, as a full disk would."""
    make_wheel(wheels, "large", "1.0", files={"large.py": "#" * 3_000_000})
    package = make_package("alpha==1.0", "large")
    limited = tmp_path / "limited-uv"
    limited.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 2000\nexec {find_uv()} "$@"\n')
    limited.chmod(0o755)
    small = Environments(environments.root, wheels=wheels, program=lambda: limited)
    with pytest.raises(EnvironmentUnbuildable, match=os.strerror(errno.EFBIG)) as caught:
        small.ensure(package, trust_code=True)
    assert "penstock env prune" in hint_of(caught.value)
    assert environments.entries() == []
    assert left_behind(environments) == []
    assert ask(environments.ensure(package, trust_code=True), "alpha.__version__") == "1.0"


def test_a_place_that_cannot_be_written_is_said(make_package: MakePackage, tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentUnbuildable, match="cannot be stored in") as caught:
        Environments(tmp_path / "file" / "environments", wheels=wheels).ensure(make_package("alpha"), trust_code=True)
    assert "PENSTOCK_CACHE" in hint_of(caught.value)


def test_a_package_that_was_changed_builds_nothing(environments: Environments, make_package: MakePackage) -> None:
    package = make_package("alpha==1.0")
    write_seal(package.path)
    (package.path / "requirements.txt").write_text("beta==1.0")
    with pytest.raises(SealBroken, match=r"requirements\.txt has changed"):
        environments.ensure(PackagedModel.open(package.path), trust_code=True)
    assert environments.entries() == []


def test_a_changed_environment_is_built_again(environments: Environments, make_package: MakePackage) -> None:
    package = make_package("alpha==1.0")
    first = environments.ensure(package, trust_code=True)
    environments.close()
    first.python.unlink()
    assert ask(environments.ensure(package, trust_code=True), "alpha.__version__") == "1.0"
