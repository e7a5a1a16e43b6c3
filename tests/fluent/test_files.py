"""Tables, images and figures are files of a run, named and written as MLflow's client does it; and files are read
back."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from penstock import tracking
from penstock.errors import TrackingInvalid, TrackingRefused


def files_of(store: Path, run_id: str) -> Path:
    assert tracking.flush_async_logging()
    return store / "artifacts" / "0" / run_id / "artifacts"


def picture(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        opened.load()
        return opened


def test_rows_are_appended_to_a_table(store: Path) -> None:
    with tracking.start_run() as run:
        tracking.log_table({"a": [1, 2], "b": ["x", float("nan")]}, "t/table.json")
        tracking.log_table(pd.DataFrame({"b": ["z"], "c": [datetime(2026, 1, 2)]}), "t/table.json")
        tracking.log_table({"one": date(2026, 1, 2)}, "other.json")
    files = files_of(store, run.info.run_id)
    assert json.loads((files / "t" / "table.json").read_bytes()) == {
        "columns": ["a", "b", "c"],
        "data": [[1, "x", None], [2, None, None], [None, "z", "2026-01-02T00:00:00.000"]],
    }
    assert json.loads((files / "other.json").read_bytes())["data"] == [["2026-01-02T00:00:00.000"]]
    tag = json.loads(tracking.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert tag == [{"path": "t/table.json", "type": "table"}, {"path": "other.json", "type": "table"}]
    table = tracking.load_table("t/table.json", extra_columns=["run_id"])
    assert table["b"].fillna("-").tolist() == ["x", "-", "z"]
    assert set(table["run_id"]) == {run.info.run_id}


def test_a_run_that_is_gone_on_with_appends_to_its_tables(store: Path) -> None:
    with tracking.start_run() as run:
        tracking.log_table({"a": [1]}, "table.json")
        tracking.log_table({"a": [1]}, "table.parquet")
    with tracking.start_run(run_id=run.info.run_id):
        tracking.log_table({"a": [2]}, "table.json")
    tracking.log_table({"a": [3]}, "table.json", run_id=run.info.run_id)
    tracking.log_table({"a": [2]}, "table.parquet", run_id=run.info.run_id)
    assert tracking.active_run() is None
    assert tracking.load_table("table.json")["a"].tolist() == [1, 2, 3]
    assert tracking.load_table("table.parquet", run_ids=[run.info.run_id])["a"].tolist() == [1, 2]
    tag = json.loads(tracking.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert [each["path"] for each in tag] == ["table.json", "table.parquet"]


def test_what_is_no_table_is_said(store: Path) -> None:
    with tracking.start_run():
        for data, name, words in (
            ({"a": [1]}, "table.csv", "no table"),
            ([1, 2], "table.json", "no table"),
            ({"a": [1], "b": [1, 2]}, "table.json", "one length"),
            ({"a": [Image.new("RGB", (2, 2)), 1]}, "table.json", "images and other values"),
        ):
            with pytest.raises(TrackingInvalid, match=words):
                tracking.log_table(data, name)
    with pytest.raises(TrackingInvalid, match="No run has"):
        tracking.load_table("none.json")


def test_images_in_a_table_are_files_beside_it(store: Path) -> None:
    with tracking.start_run() as run:
        tracking.log_table({"shown": [Image.new("RGB", (2, 4))]}, "t/table.json")
    files = files_of(store, run.info.run_id)
    ((cell,),) = json.loads((files / "t" / "table.json").read_bytes())["data"]
    assert cell["type"] == "image"
    assert re.fullmatch(r"table_images/t/table/[0-9a-f-]{36}\.png", cell["filepath"])
    assert picture(files / cell["filepath"]).size == (2, 4)
    assert picture(files / cell["compressed_filepath"]).size == (128, 256)


def test_an_image_has_a_name_or_is_one_of_a_series(store: Path) -> None:
    with tracking.start_run() as run:
        tracking.log_image(np.eye(3), "i/eye.png")
        tracking.log_image(Image.new("RGB", (20, 10), "red"), "red.jpg")
        tracking.log_image(np.full((2, 4, 3), 7, dtype=np.uint8), key="a/b c", step=3, timestamp=1234)
    files = files_of(store, run.info.run_id)
    assert np.array_equal(np.asarray(picture(files / "i" / "eye.png")), np.eye(3) * 255)
    assert picture(files / "red.jpg").format == "JPEG"
    large, compressed = sorted((files / "images").iterdir(), key=lambda file: file.suffix)
    assert re.fullmatch(r"a~b c\+step\+3\+timestamp\+1234\+[0-9a-f-]{36}\.png", large.name)
    assert compressed.name == f"{large.stem}+compressed.webp"
    assert picture(compressed).size == (256, 128)
    assert tracking.get_run(run.info.run_id).data.tags["mlflow.loggedImages"] == "True"


def test_what_is_no_image_is_said(store: Path) -> None:
    eye = np.eye(3)
    with tracking.start_run():
        for image, named, words in (
            (eye, {}, "artifact_file, or the key"),
            (eye, {"artifact_file": "a.png", "key": "a"}, "artifact_file, or the key"),
            (eye, {"artifact_file": "a.png", "step": 1}, "go with key"),
            (eye, {"key": "a%"}, "no key"),
            ([[1]], {"key": "a"}, "list is no image"),
            (np.zeros((2, 2, 2)), {"key": "a"}, r"shape \(2, 2, 2\)"),
            (np.array([[300]]), {"key": "a"}, "from 300 to 300"),
        ):
            with pytest.raises(TrackingInvalid, match=words):
                tracking.log_image(image, **named)


def test_figures_are_written_by_their_own_library(store: Path) -> None:
    from matplotlib.figure import Figure

    class Plotly:
        """Has the methods that we call, with the arguments that they have there."""

        def write_html(self, file: str, include_plotlyjs: str, auto_open: bool) -> None:
            Path(file).write_text(f"<p>{include_plotlyjs} {auto_open}")

        def to_image(self, format: str) -> bytes:
            return format.encode()

    figure = Figure()
    figure.add_subplot().plot([1, 2])
    with tracking.start_run() as run:
        tracking.log_figure(figure, "plots/line.png")
        tracking.log_figure(figure, "plots/line.svg", save_kwargs={"dpi": 50})
        tracking.log_figure(Plotly(), "plots/p.html")
        tracking.log_figure(Plotly(), "plots/p.webp")
        with pytest.raises(TrackingInvalid, match="no figure"):
            tracking.log_figure("line", "plots/x.png")
    files = files_of(store, run.info.run_id) / "plots"
    assert picture(files / "line.png").format == "PNG"
    assert "<svg" in (files / "line.svg").read_text()
    assert (files / "p.html").read_text() == "<p>cdn False"
    assert (files / "p.webp").read_text() == "webp"


def test_files_are_listed_and_read_back(store: Path, tmp_path: Path) -> None:
    with tracking.start_run() as run:
        tracking.log_text("words", "a/b/text.txt")
        tracking.log_dict({"x": 1}, "d.json")
        tracking.log_dict({"y": [2]}, "a/d.yaml")
    run_id = run.info.run_id
    listed = tracking.list_artifacts(run_id=run_id)
    assert [(each.path, each.is_dir) for each in listed] == [("a", True), ("d.json", False)]
    (text,) = tracking.list_artifacts(f"runs:/{run_id}/a", artifact_path="b")
    assert (text.path, text.file_size) == ("a/b/text.txt", 5)
    assert tracking.load_text(f"runs:/{run_id}/a/b/text.txt") == "words"
    assert tracking.load_dict(f"{tracking.get_run(run_id).info.artifact_uri}/d.json") == {"x": 1}
    assert tracking.load_dict(f"runs:/{run_id}/a/d.yaml") == {"y": [2]}
    where = Path(tracking.download_artifacts(run_id=run_id, artifact_path="a", dst_path=tmp_path / "down"))
    assert where == tmp_path / "down" / "a"
    assert (where / "b" / "text.txt").read_text() == "words"
    everything = Path(tracking.download_artifacts(f"runs:/{run_id}/"))
    assert sorted(path.name for path in everything.rglob("*") if path.is_file()) == ["d.json", "d.yaml", "text.txt"]
    with pytest.raises(TrackingRefused):
        tracking.download_artifacts(run_id=run_id, artifact_path="none.txt", dst_path=tmp_path / "none")
    for wrong in ("nowhere", "models:/m", "models:/"):
        with pytest.raises(TrackingInvalid):
            tracking.list_artifacts(wrong)


def test_all_points_of_a_metric_are_read(store: Path) -> None:
    with tracking.start_run() as run:
        for step in range(3):
            tracking.log_metric("loss", 1 / (step + 1), step=step, timestamp=step)
    points = tracking.get_metric_history(run.info.run_id, "loss")
    assert [(point.value, point.timestamp, point.step) for point in points] == [(1.0, 0, 0), (0.5, 1, 1), (1 / 3, 2, 2)]
    assert tracking.get_metric_history(run.info.run_id, "none") == []
