"""Packages tried in a process of their own before they are loaded here: whatever they do, this process goes on."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.artifacts.proven import ProvenPackages
from penstock.errors import CodeNotTrusted, ModelProcessLost, PenstockError, ProofFailed, SealBroken
from penstock.loading import LoadedModel, LoadOptions
from penstock.machine.throttle import throttled
from penstock.model_process.client.start import ModelProcessHandle, OnLine
from penstock.package import PackagedModel
from penstock.serving.runners.isolation import Isolation, load_served
from penstock.serving.runners.trial import TrialOutcome, Trials, memory_for
from penstock.serving.swap.version_loader import VersionLoader
from serving.hostile_loads import Harm, good_package, harmful

HERE = Isolation(mode="none")
TRUST = LoadOptions(trust_code=True)


class Tried:
    """Trials, and how they went."""

    def __init__(self, cache: Path) -> None:
        self.outcomes: list[TrialOutcome] = []
        self.trials = Trials(ProvenPackages(cache), lambda _, outcome: self.outcomes.append(outcome))

    def loader(self, options: LoadOptions = TRUST, isolation: Isolation = HERE) -> VersionLoader:
        return VersionLoader(options, isolation, "m", trial=self.trials.of("m", options, isolation))

    def load(self, package: Path, options: LoadOptions = TRUST, isolation: Isolation = HERE) -> None:
        self.loader(options, isolation).load(package, "1").close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    tried = Tried(tmp_path_factory.mktemp("cache"))
    yield tried
    tried.trials.close()


@pytest.fixture
def tried(shared: Tried, tmp_path: Path) -> Tried:
    """With one fork server for all tests, and notes of each test's own."""
    shared.outcomes.clear()
    shared.trials.proven = ProvenPackages(tmp_path / "cache")
    return shared


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return good_package(tmp_path_factory.mktemp("good") / "good")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("crash", r"was killed by signal 11 \(SIGSEGV\) while it loaded its package"),
        ("exit", "ended with code 3 while it loaded its package"),
        ("hang", r"did not load the package in time: it was ended after 1 seconds. Raise the setting load_timeout"),
        ("spin", "did not load the package in time"),
        ("bomb", "needs more memory than the limit of its process, 512 MiB"),
    ],
)
def test_what_a_package_does_while_it_loads_happens_elsewhere(
    tried: Tried, good: Path, tmp_path: Path, harm: Harm, words: str
) -> None:
    bad = harmful(good, tmp_path / harm, harm)
    limits = replace(HERE, load_timeout=1.0 if harm in ("hang", "spin") else 60.0, memory_limit=512 << 20)
    with pytest.raises(PenstockError, match=words):
        tried.load(bad, isolation=limits)
    assert tried.outcomes == ["refused" if harm == "bomb" else "lost"]
    tried.load(good)  # the process that forks is as it was
    assert tried.outcomes[1:] == ["proven"]


def test_without_a_limit_set_a_bomb_finds_one(
    tried: Tried, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.serving.runners.trial.available_bytes", lambda: 600 << 20)
    with pytest.raises(PenstockError, match="needs more memory than the limit of its process, 510 MiB"):
        tried.load(harmful(good, tmp_path / "bomb", "bomb"))


@pytest.mark.parametrize(
    ("available", "size", "limit"),
    [
        (16 << 30, 1 << 20, (2 << 30) + (16 << 20)),
        (16 << 30, None, int((16 << 30) * 0.85)),
        (1 << 30, 1 << 20, int((1 << 30) * 0.85)),
        (1 << 20, 1, 256 << 20),
        (None, 1 << 20, (2 << 30) + (16 << 20)),
        (None, None, 0),
    ],
)
def test_memory_is_by_the_size_of_data_and_by_what_there_is_to_have(
    monkeypatch: pytest.MonkeyPatch, available: int | None, size: int | None, limit: int
) -> None:
    monkeypatch.setattr("penstock.serving.runners.trial.available_bytes", lambda: available)
    assert memory_for(size) == limit


def test_a_proof_is_noted_once_and_counts_for_the_libraries_of_then(
    tried: Tried, iris_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = LoadOptions()
    for _ in range(2):
        tried.load(iris_package, options, Isolation())
    assert tried.outcomes == ["proven", "known"]
    monkeypatch.setattr("penstock.serving.runners.trial.installed_version", lambda name: "0.0")
    tried.load(iris_package, options, Isolation())
    assert tried.outcomes[2:] == ["proven"]


def test_what_fails_is_not_noted_and_says_what_a_load_would(
    tried: Tried, iris_package: Path, tmp_path: Path, copied: Callable[[Path], Path]
) -> None:
    package = copied(iris_package)
    (package / "SHA256SUMS").unlink()
    expected = package / "expected_output.json"
    expected.write_text(expected.read_text().replace("0", "7"))
    for _ in range(2):
        with pytest.raises(ProofFailed, match="does not repeat its recorded answer"):
            tried.load(package, LoadOptions(), Isolation())
    assert tried.outcomes == ["refused", "refused"]
    assert not list(tmp_path.glob("cache/**/*.json"))


def test_code_is_tried_each_time_where_it_runs_here(tried: Tried, good: Path) -> None:
    for _ in range(2):
        tried.load(good)
    assert tried.outcomes == ["proven", "proven"]
    with pytest.raises(CodeNotTrusted):
        tried.load(good, LoadOptions())
    assert tried.outcomes[2:] == []


def test_what_runs_apart_is_proven_in_the_process_that_serves_it(tried: Tried, good: Path) -> None:
    tried.load(good, isolation=Isolation())
    assert tried.outcomes == []


def test_a_package_that_changes_after_its_trial_is_not_loaded(good: Path, copied: Callable[[Path], Path]) -> None:
    package = copied(good)
    (package / "SHA256SUMS").unlink()
    digest = PackagedModel.open(package).digest
    (package / "model.py").write_text("raise SystemExit\n")
    with pytest.raises(SealBroken, match="is now another package"):
        load_served(package, TRUST, HERE, digest=digest)


def test_a_trial_can_be_stopped(tried: Tried, good: Path, tmp_path: Path) -> None:
    loader = tried.loader()
    bad = harmful(good, tmp_path / "hang", "hang")
    begun = threading.Event()

    def stop() -> None:
        begun.wait(30)
        loader.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    track = loader._loading

    class Begun(set[ModelProcessHandle]):
        def add(self, process: ModelProcessHandle) -> None:
            super().add(process)
            begun.set()

    loader._loading = Begun(track)
    with pytest.raises(ModelProcessLost):
        loader.load(bad, "1")
    stopping.join()
    assert tried.outcomes == ["lost"]


def test_a_fork_server_that_dies_is_started_again(tried: Tried, good: Path) -> None:
    tried.load(good)
    forks = tried.trials._forks
    assert forks._program is not None
    first = forks._program.pid
    forks._program.kill()
    forks._program.wait()
    tried.load(good)
    assert forks._program.pid != first
    assert Counter(tried.outcomes) == {"proven": 2}


_NOTES = """import json, os, sys
with open({file!r}, "w") as file:
    json.dump({{"nice": os.nice(0), "rests": sys.getprofile() is not None, "session": os.getsid(0)}}, file)
"""


def test_beside_requests_a_trial_has_low_priority_behind_this_process_and_takes_no_rests(
    tried: Tried, good: Path, tmp_path: Path, copied: Callable[[Path], Path]
) -> None:
    package, noted = copied(good), tmp_path / "noted.json"
    (package / "SHA256SUMS").unlink()
    (package / "model.py").write_text(_NOTES.format(file=str(noted)) + (package / "model.py").read_text())
    with throttled():
        loader = tried.loader()
        loader.try_out(package, "1")
    # Of a session of its own only the other processes there would be before it.
    assert json.loads(noted.read_text()) == {"nice": os.nice(0) + 10, "rests": False, "session": os.getsid(0)}


def test_beside_requests_nothing_is_imported_here(
    tried: Tried, identity_onnx_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr("penstock.flavors.interface.Flavor.preload", lambda flavor: imported.append(flavor.name))
    launched: list[bool] = []
    launch = tried.trials._forks.launch

    def noted(flavors: Collection[str], on_line: OnLine, *, beside_requests: bool) -> ModelProcessHandle:
        launched.append(beside_requests)
        return launch(flavors, on_line, beside_requests=beside_requests)

    monkeypatch.setattr(tried.trials._forks, "launch", noted)
    with throttled():
        tried.load(identity_onnx_package, LoadOptions(), Isolation())
    assert (launched, imported) == ([True], [])
    tried.trials.proven = ProvenPackages(tmp_path / "another cache")
    tried.load(identity_onnx_package, LoadOptions(), Isolation())
    assert (launched, imported) == ([True, False], ["onnx"])


def test_a_closed_server_starts_no_trial(good: Path, tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    tried.trials.close()
    with pytest.raises(ModelProcessLost, match="being closed"):
        tried.load(good)
    tried.trials.warm_up()


def test_a_loader_without_trials_loads_at_once(good: Path) -> None:
    loaded = VersionLoader(TRUST, HERE, "m").load(good, "1")
    assert isinstance(loaded, LoadedModel)
    loaded.close()


def test_what_trials_begin_from_goes_while_none_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = Tried(tmp_path).trials
    ended: list[str] = []
    monkeypatch.setattr(trials._forks, "end", lambda: ended.append("ended"))
    with trials.running(), trials.running():
        trials.rest()
        assert ended == []  # not under what runs
    assert ended == ["ended"]
    with trials.running():
        pass
    assert ended == ["ended"] * 2
    trials.warm_up()  # promotions may come
    with trials.running():
        pass
    assert ended == ["ended"] * 2
