"""What every flavor owes, built in or from a plug-in: onnx, sklearn, python_function, and the example of the docs."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import yaml

from flavors.contract_cases import CASES, FRAME, SUMS, Case
from flavors.plug_in import installed
from penstock.errors import CodeNotTrusted, PackageError, PackagingFailed, PredictError
from penstock.flavors import Flavor, LoadContext, choose_flavor, flavor_for, get_flavor, known_flavors
from penstock.flavors.frames import from_frame
from penstock.manifest import FILE_NAME, PYTHON_FUNCTION
from penstock.package import PackagedModel, answers_differ
from penstock.package.save import save_model
from penstock.package.seal import SEAL
from penstock.payload import Payload, Table, Tensors, Value
from penstock.wire.mlflow.answers import answer_value

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id or case.flavor)


@pytest.fixture(autouse=True, scope="module")
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site") / "packages"):
        yield


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], PackagedModel]:
    """A package of each case, made once; tests that break one copy it first."""
    made: dict[int, PackagedModel] = {}

    def of(case: Case) -> PackagedModel:
        if id(case) not in made:
            place = tmp_path_factory.mktemp("contract")
            made[id(case)] = save_model(case.model(place), place / "package", example=FRAME, **case.options)
        return made[id(case)]

    return of


@pytest.fixture
def package(case: Case, packages: Callable[[Case], PackagedModel]) -> PackagedModel:
    return packages(case)


@pytest.fixture
def flavor(case: Case) -> Flavor:
    return get_flavor(case.flavor)


def numbers(answer: Payload) -> Any:
    """The sums in an answer, whatever form the flavor gives them."""
    value = answer_value(answer)
    if isinstance(value, dict):
        (value,) = value.values()
    rows = [next(iter(row.values())) if isinstance(row, dict) else row for row in value]
    return [row[0] if isinstance(row, list) else row for row in rows]


def rows(package: PackagedModel, first: float) -> Payload:
    """Two rows in the form that the package takes."""
    values = np.array([[first, 1.0], [first, 2.0]])
    example = package.example()
    assert example is not None
    if isinstance(example.payload, Tensors):
        return Tensors.single(values)
    return Table(("a", "b"), block=values)


def test_it_is_known_by_its_name_and_describes_itself(case: Case, flavor: Flavor) -> None:
    assert case.flavor in known_flavors()
    assert flavor.name == case.flavor
    assert flavor.loader_modules
    assert all(module in repr(flavor) for module in (case.flavor, *flavor.loader_modules))
    assert "\n" not in repr(flavor)


def test_it_accepts_its_own_models_and_no_others(case: Case, flavor: Flavor, tmp_path: Path) -> None:
    own = case.model(tmp_path)
    assert flavor.accepts(own)
    assert flavor_for(own) is flavor
    assert flavor_for(own, case.flavor) is flavor
    others = [other.model(tmp_path) for other in CASES if other.flavor != case.flavor]
    for model in (None, 5, "text", object(), dict, {"a": 1}, lambda x: x, tmp_path, FRAME, *others):
        assert flavor.accepts(model) is False


def test_its_options_are_frozen_and_all_have_a_default(case: Case, flavor: Flavor) -> None:
    options = flavor.options_type()
    assert flavor.options_type.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert {field.name for field in dataclasses.fields(options)} >= set(case.options)


def test_an_option_of_another_flavor_is_refused_and_the_flavors_own_are_named(
    case: Case, flavor: Flavor, tmp_path: Path
) -> None:
    (name,) = case.other
    with pytest.raises(PackagingFailed, match=f"'{case.flavor}' has no option {name}") as caught:
        save_model(case.model(tmp_path), tmp_path / "m", example=FRAME, **case.other)
    own = [field.name for field in dataclasses.fields(flavor.options_type)]
    assert all(option in caught.value.hint for option in own)
    assert own or caught.value.hint == "This flavor has no options."
    assert not (tmp_path / "m").exists()


def test_what_it_wrote_loads_and_answers_the_same(case: Case, package: PackagedModel) -> None:
    opened = PackagedModel.open(package.path)
    opened.verify()
    example = opened.example()
    assert example is not None
    assert example.has_expected
    predictor = opened.load(trust_code=case.carries_code)
    answer = predictor.predict(example.payload, example.params)
    assert numbers(answer) == pytest.approx(SUMS)
    assert answers_differ(example.expected, {"predictions": answer_value(answer)}) == ""
    predictor.close()


def test_the_example_is_kept_in_the_form_that_the_model_takes(case: Case, package: PackagedModel) -> None:
    kind, dtype = case.sent
    example = package.example()
    assert example is not None
    assert type(example.payload) is kind
    arrays = list(example.payload.iter_columns()) if kind is Table else example.payload.arrays  # type: ignore[union-attr]
    assert arrays[0].dtype == dtype
    predictor = package.load(trust_code=True)
    form = predictor.example_form(from_frame(FRAME))
    assert type(form) is kind
    assert predictor.example_form(form) is form
    value = Value("text")
    assert predictor.example_form(value) is value


def test_its_package_can_be_read_by_mlflows_rules(case: Case, flavor: Flavor, package: PackagedModel) -> None:
    content = yaml.safe_load((package.path / FILE_NAME).read_text())
    assert isinstance(content["signature"]["inputs"], str)
    assert content["model_uuid"]
    assert content["utc_time_created"]
    python = content["flavors"][PYTHON_FUNCTION]
    assert python["loader_module"] in flavor.loader_modules
    assert {"conda", "virtualenv"} == set(python["env"])
    assert all((package.path / file).is_file() for file in python["env"].values())
    stored = [python[key] for key in ("data", "model_path", "source") if key in python]
    assert stored == [case.file]
    assert case.flavor in content["flavors"]
    assert flavor.artifact(package.manifest) == case.file
    assert (package.path / case.file).is_file()
    assert choose_flavor(package.manifest) is flavor
    assert package.manifest.batchable is case.batchable


def test_its_package_is_the_same_bytes_each_time_but_for_its_identity(
    case: Case, package: PackagedModel, tmp_path: Path
) -> None:
    again = save_model(case.model(tmp_path), tmp_path / "package", example=FRAME, **case.options)
    own = {FILE_NAME, SEAL, *([case.file] if case.varies else [])}
    assert again.hashes.keys() == package.hashes.keys()
    assert {name for name, digest in package.hashes.items() if again.hashes[name] != digest} <= own
    assert again.manifest.flavors == package.manifest.flavors
    assert PackagedModel.open(package.path).digest == package.digest


def test_it_says_why_a_package_carries_code_and_never_runs_it_untrusted(
    case: Case, flavor: Flavor, package: PackagedModel
) -> None:
    reasons = flavor.code_reasons(package.path, package.manifest)
    assert bool(reasons) is case.carries_code
    assert all((package.path / reason.file).exists() and reason.reason for reason in reasons)
    context = LoadContext(package.path, package.manifest, package.digest)
    if case.carries_code:
        with pytest.raises(CodeNotTrusted):
            flavor.load(context)
    else:
        flavor.load(context).close()


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "not the format"])
def test_a_broken_artifact_is_one_error_that_names_the_file(
    case: Case, package: PackagedModel, tmp_path: Path, damage: str
) -> None:
    broken = Path(shutil.copytree(package.path, tmp_path / "broken"))
    file = broken / case.file
    whole = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "truncated":
            file.write_bytes(whole[: int(len(whole) * case.truncated)])
        case "empty":
            file.write_bytes(b"")
        case _:
            file.write_bytes(b"\x89PNG\r\n\x1a\n\x00 not a model")
    (broken / SEAL).unlink()
    with pytest.raises(PackageError) as caught:
        PackagedModel.open(broken).load(trust_code=True)
    assert case.file in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")


def test_it_may_be_asked_from_several_threads_at_once(case: Case, package: PackagedModel) -> None:
    predictor = package.load(trust_code=case.carries_code)
    threads, rounds = 4, 25
    together = Barrier(threads)

    def ask(number: int) -> bool:
        together.wait(timeout=30)
        given = [rows(package, 100.0 * number + i) for i in range(rounds)]
        wanted = [[100.0 * number + i + 1, 100.0 * number + i + 2] for i in range(rounds)]
        return all(
            np.allclose(numbers(predictor.predict(payload, {})), sums)
            for payload, sums in zip(given, wanted, strict=True)
        )

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(ask, range(threads))) == [True] * threads


def test_rows_that_it_cannot_take_are_the_models_error(case: Case, package: PackagedModel) -> None:
    predictor = package.load(trust_code=case.carries_code)
    with pytest.raises(PredictError):
        predictor.predict(Value({"no": "rows"}), {})


def test_an_example_is_no_condition_for_a_package(case: Case, tmp_path: Path) -> None:
    made = save_model(case.model(tmp_path), tmp_path / "package", **case.options)
    assert made.example() is None
    predictor = made.load(trust_code=case.carries_code)
    values = FRAME.to_numpy(dtype=float)
    given = Tensors.single(values) if case.sent[0] is Tensors else Table(("a", "b"), block=values)
    assert numbers(predictor.predict(given, {})) == pytest.approx(SUMS)
