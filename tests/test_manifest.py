"""The MLmodel file: read tolerantly, written deterministically, and never a way to hurt the reader."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cli.remedies import hint_of
from penstock.errors import PackageInvalid, PackageNotFound
from penstock.manifest import FILE_NAME, Manifest
from penstock.package_file import TEXT_LIMIT

MLFLOW_318 = b"""\
artifact_path: file:///tmp/mlruns/0/models/m-1/artifacts
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
    sklearn_version: 1.9.0
  somebody_elses:
    depth: 3
mlflow_version: 3.18.0
model_id: m-0123
model_uuid: 0123
prompts: null
run_id: abc
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
utc_time_created: '2026-01-02 03:04:05.678901'
unheard_of: [1, {two: 3.5}]
"""

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_reads_what_mlflow_writes() -> None:
    manifest = Manifest.parse(MLFLOW_318)
    assert manifest.python_function is not None
    assert manifest.python_function["loader_module"] == "mlflow.sklearn"
    assert manifest.run_id == "abc"
    assert manifest.written_by == "MLflow 3.18.0"
    assert manifest.deterministic
    assert not manifest.batchable
    assert manifest.signature is not None
    assert [str(f) for f in manifest.signature.inputs or ()] == ["a: double"]
    assert [str(f) for f in manifest.signature.outputs or ()] == ["int64[-1]"]


def test_unknown_keys_and_flavors_survive() -> None:
    manifest = Manifest.parse(MLFLOW_318)
    again = Manifest.parse(manifest.dump())
    assert again.content == manifest.content
    assert again.content["unheard_of"] == [1, {"two": 3.5}]
    assert again.flavors["somebody_elses"] == {"depth": 3}


def test_the_dump_is_deterministic() -> None:
    manifest = Manifest.parse(MLFLOW_318)
    shuffled = dict(reversed(list(manifest.content.items())))
    assert Manifest(shuffled).dump() == manifest.dump()
    assert Manifest.parse(manifest.dump()).dump() == manifest.dump()
    keys = [line.split(b":")[0] for line in manifest.dump().splitlines() if line[:1].isalpha()]
    assert keys == sorted(keys)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(max_size=6), plain, max_size=4))
def test_any_plain_metadata_survives(metadata: dict[str, Any]) -> None:
    metadata.pop("penstock", None)
    manifest = Manifest({"flavors": {"onnx": {}}, "metadata": metadata})
    assert Manifest.parse(manifest.dump()).content == manifest.content


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    """PyYAML would write an alias, which our own reader refuses."""
    shared = ["a", "b"]
    manifest = Manifest({"flavors": {"onnx": {}}, "metadata": {"one": shared, "two": shared}})
    assert b"*" not in manifest.dump()
    assert Manifest.parse(manifest.dump()).metadata == {"one": shared, "two": shared}


@pytest.mark.parametrize("value", [object(), Path("x"), {1, 2}.__iter__()])
def test_what_no_manifest_can_hold_is_refused_when_written(value: object) -> None:
    with pytest.raises(PackageInvalid, match="cannot be written"):
        Manifest({"flavors": {}, "metadata": {"x": value}}).dump()


def test_a_value_that_holds_itself_is_refused_when_written() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(PackageInvalid, match="cannot be written"):
        Manifest({"flavors": {}, "metadata": {"x": loop}}).dump()


@pytest.mark.parametrize("number", [0, 2, 99, "1", None, [1]])
def test_an_unknown_format_is_refused(number: object) -> None:
    with pytest.raises(PackageInvalid, match="format"):
        Manifest({"flavors": {}, "metadata": {"penstock": {"format": number}}})


def test_our_own_metadata_is_read() -> None:
    own = {"format": 1, "version": "0.1", "batchable": True, "deterministic": False}
    manifest = Manifest({"flavors": {}, "metadata": {"penstock": own, "team": "blue"}})
    assert manifest.batchable
    assert not manifest.deterministic
    assert manifest.written_by == "Penstock 0.1"
    assert Manifest({"flavors": {}}).written_by == "an unknown program"


@pytest.mark.parametrize("batchable", ["true", 1, None, "yes"])
def test_only_a_true_is_batchable(batchable: object) -> None:
    assert not Manifest({"flavors": {}, "metadata": {"penstock": {"batchable": batchable}}}).batchable


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    return "\n".join([*lines, "flavors: {}"]).encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (bomb(), "aliases"),
        (b"a: &x {b: 1}\nflavors: *x\n", "aliases"),
        (b"flavors: {onnx: {<<: *x}}", "aliases"),
        (b"flavors: !!python/object/apply:os.system ['true']", "YAML"),
        (b"flavors: {a: !!bool maybe}", "YAML"),
        (b"flavors: {a: !!timestamp soon}", "YAML"),
        (b"flavors: {a: !!int ''}", "YAML"),
        (b"flavors: {a: 2021-13-45}", "YAML"),
        (b"flavors: {[1]: 2}", "YAML"),
        (b"flavors: {a: " + b"9" * 5000 + b"}", "100 digits"),
        (b"flavors: {a: 1" + b":1" * 100_000 + b"}", "100 digits"),
        (b"flavors: {a: b", "YAML"),
        (b"\x00\x01\x02\xff\xfe garbage", "YAML"),
        (b"\xff" * 100, "YAML"),
        (b"[" * 100_000, "YAML"),
        (b"a: 1\n---\nb: 2\n", "YAML"),
        (b"", "mapping"),
        (b"just text", "mapping"),
        (b"- a\n- b\n", "mapping"),
        (b"mlflow_version: 3.18.0\n", "no 'flavors'"),
        (b"flavors:\n", "no 'flavors'"),
        (b"flavors: [onnx]\n", "no 'flavors'"),
        (b"flavors: {onnx: model.onnx}\n", "no 'flavors'"),
        (b"flavors: {}\nsignature: text\n", "signature"),
        (b"flavors: {}\nsignature: {inputs: 'not json'}\n", "JSON"),
    ],
)
def test_what_is_no_manifest_is_refused_with_a_reason(text: bytes, why: str) -> None:
    with pytest.raises(PackageInvalid, match=why) as caught:
        Manifest.parse(text)
    assert len(caught.value.message) < 500


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_garbage_never_raises_anything_else(text: bytes) -> None:
    with suppress(PackageInvalid):
        Manifest.parse(text)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["flavors", "metadata", "signature", "run_id", "x"]), plain))
def test_mappings_of_any_shape_never_raise_anything_else(content: dict[str, Any]) -> None:
    try:
        manifest = Manifest.parse(yaml.safe_dump(content).encode())
    except PackageInvalid:
        return
    assert manifest.flavors is not None
    assert manifest.written_by
    assert isinstance(manifest.metadata, dict)


def test_read_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(PackageNotFound, match="nothing at"):
        Manifest.read(tmp_path / "absent")
    with pytest.raises(PackageInvalid, match=r"no MLmodel file") as caught:
        Manifest.read(tmp_path)
    assert "penstock package" in hint_of(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(PackageInvalid, match="is a file"):
        Manifest.read(tmp_path / "file")
    (tmp_path / FILE_NAME).write_text("flavors: [")
    with pytest.raises(PackageInvalid, match=str(tmp_path / FILE_NAME)):
        Manifest.read(tmp_path)


def test_a_directory_named_mlmodel_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(PackageInvalid, match="not a regular file"):
        Manifest.read(tmp_path)


def test_a_huge_file_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(TEXT_LIMIT + 1)  # sparse: takes no room
    monkeypatch.setattr(Manifest, "parse", lambda text: pytest.fail("was read"))
    with pytest.raises(PackageInvalid, match="too large: 1,048,577 bytes, where 1,048,576 are allowed"):
        Manifest.read(tmp_path)


def test_a_manifest_that_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(PackageInvalid, match="where 1,048,576 are allowed"):
        Manifest({"flavors": {}, "metadata": {"notes": "x" * (TEXT_LIMIT + 1)}}).dump()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[" * 1_000_000, "within each other"),
        (b"{a: " * 200_000, "within each other"),
        (b"- " * 500_000, "within each other"),
        (b"junk:\n" + b"- {a: 1}\n" * 100_000, "more than 20,000 values"),
        (b"[" + b"[]," * 300_000 + b"]", "more than 20,000 values"),
        (b"a: &a [x]\nb: &b [*a, *a]\nflavors: {}\n", "aliases"),
        (b"a: &a {x: 1}\nb: {<<: *a}\nflavors: {}\n", "aliases"),
        (b"x: !!int " + b"1:" * 400_000 + b"1\n", "100 digits"),
    ],
    ids=["lists", "mappings", "dashes", "records", "empty lists", "alias", "merge", "base 60"],
)
def test_what_would_hold_up_the_reader_is_refused_in_time(text: bytes, why: str) -> None:
    began = time.process_time()
    with pytest.raises(PackageInvalid, match=why):
        Manifest.parse(text)
    assert time.process_time() - began < 2.0
