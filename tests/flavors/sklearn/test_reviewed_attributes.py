"""Attributes that reach files or names make a package code, whatever its types; those that cost time are data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline

from flavors.sklearn.skops_files import attributes, described, plain, with_arrays, written
from penstock.errors import ArtifactInvalid, CodeNotTrusted
from penstock.flavors.sklearn.judgement import judge
from penstock.package.save import save_model

X = np.random.default_rng(0).random((40, 3))
Y = (X[:, 0] > 0.5).astype(int)
WORDS = ["aa bb", "bb cc", "aa cc"] * 5


def texts(vectorizer: Any) -> Any:
    return make_pipeline(vectorizer, LinearRegression()).fit(WORDS, range(15))


def stacked() -> Any:
    return StackingClassifier([("a", GaussianNB())], cv=2).fit(X, Y)


def selected() -> Any:
    return SelectFromModel(LogisticRegression()).fit(X, Y)


def chained() -> Any:
    return ClassifierChain(GaussianNB()).fit(X, np.column_stack([Y, Y]))


@pytest.mark.parametrize(
    ("kind", "model", "name", "value"),
    [
        ("CountVectorizer", lambda: texts(CountVectorizer()), "input", "filename"),
        ("TfidfVectorizer", lambda: texts(TfidfVectorizer()), "input", "file"),
        ("HashingVectorizer", lambda: texts(HashingVectorizer(n_features=8)), "input", "filename"),
        ("CountVectorizer", lambda: texts(CountVectorizer()), "input", ["content"]),
        ("Pipeline", lambda: Pipeline([("a", PCA(2)), ("b", GaussianNB())]).fit(X, Y), "memory", "/var/cache"),
        ("StackingClassifier", stacked, "stack_method_", ["fit"]),
        ("ClassifierChain", chained, "chain_method_", "set_params"),
        (
            "FixedThresholdClassifier",
            lambda: FixedThresholdClassifier(GaussianNB()).fit(X, Y),
            "response_method",
            "fit",
        ),
        ("SelectFromModel", selected, "importance_getter", "__class__.__init__"),
        ("SelectFromModel", selected, "importance_getter", "_estimator.coef_"),
    ],
)
def test_what_reaches_files_or_names_is_code(tmp_path: Path, kind: str, model: Any, name: str, value: Any) -> None:
    path = written(tmp_path, model())
    assert judge(path).code == ()
    described(path, lambda schema: attributes(schema, kind).update({name: plain(value)}))
    (reason,) = judge(path).code
    assert f"holds a {kind} that" in reason
    assert f"{name} is {value!r}" in reason


def test_a_text_that_stands_in_an_array_is_judged_as_none_that_is_plain(tmp_path: Path) -> None:
    path = written(tmp_path, texts(CountVectorizer(input=np.str_("content"))))
    assert "input is a value that is not plain" in judge(path).code[0]
    with_arrays(path, lambda array: np.array("filename") if array.dtype.kind == "U" and not array.ndim else None)
    assert judge(path).code


@pytest.mark.parametrize(
    "vectorizer",
    [
        CountVectorizer(token_pattern=r"(?:a|aa|a)+$", vocabulary=["a"]),
        TfidfVectorizer(analyzer="char", ngram_range=(1, 5)),
        HashingVectorizer(n_features=2**20, decode_error="ignore"),
        TfidfVectorizer(strip_accents="unicode", stop_words="english", encoding="latin-1"),
    ],
    ids=lambda vectorizer: type(vectorizer).__name__,
)
def test_what_only_costs_time_or_memory_is_data_and_runs_apart(tmp_path: Path, vectorizer: Any) -> None:
    found = judge(written(tmp_path, texts(vectorizer)))
    assert found.code == ()
    assert any("works through texts of any length" in reason for reason in found.apart)


def test_importances_by_the_names_that_people_use_are_data(tmp_path: Path) -> None:
    model = SelectFromModel(
        make_pipeline(LogisticRegression()), importance_getter="named_steps.logisticregression.coef_"
    )
    assert judge(written(tmp_path, model.fit(X, Y))) == ((), ())


def test_one_number_with_two_descriptions_is_refused(tmp_path: Path) -> None:
    """skops would take the first for both: what was looked at would not be what is made."""
    path = written(tmp_path, make_pipeline(CountVectorizer(), LinearRegression()).fit(WORDS, range(15)))

    def plant(schema: dict[str, Any]) -> None:
        found = attributes(schema, "CountVectorizer")
        number = found["vocabulary_"]["__id__"]
        found["input"] = plain("content") | {"__id__": number}

    with pytest.raises(ArtifactInvalid, match="one object in two ways"):
        judge(described(path, plant))


@pytest.mark.parametrize("content", [plain({"input": "filename"}), plain(0) | {"__loader__": "DefaultDictNode"}])
def test_attributes_in_a_form_that_nobody_reads_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    path = written(tmp_path, texts(CountVectorizer()))

    def plant(schema: dict[str, Any]) -> None:
        step = schema["content"]["content"]["steps"]["content"][0]["content"][1]
        assert step["__class__"] == "CountVectorizer"
        step["content"] = content

    with pytest.raises(ArtifactInvalid, match="in a way that skops does not write"):
        judge(described(path, plant))


def test_a_package_is_refused_by_name_and_says_how_to_repackage_it(tmp_path: Path) -> None:
    package = save_model(texts(CountVectorizer()), tmp_path / "package", serialization="skops")
    described(
        package.path / "model.skops", lambda s: attributes(s, "CountVectorizer").update({"input": plain("filename")})
    )
    with pytest.raises(
        CodeNotTrusted, match=r"CountVectorizer that reads the files that rows name: input is 'filename'"
    ):
        package.check_trust()
    with pytest.raises(CodeNotTrusted, match=r"Set input='content' and send the text itself"):
        package.check_trust()


def test_packaging_writes_no_skops_file_that_would_count_as_code(tmp_path: Path) -> None:
    model = Pipeline([("a", PCA(2)), ("b", GaussianNB())], memory=str(tmp_path / "cache")).fit(X, Y)
    package = save_model(model, tmp_path / "package", example=X[:3])
    assert [str(reason) for reason in package.code_reasons()] == ["model.pkl is a pickle"]
