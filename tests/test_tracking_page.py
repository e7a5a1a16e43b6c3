"""docs/tracking.md does what it says: its blocks run, in order, against a hub; and it names every call."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock import fluent
from penstock.fluent import session as sessions
from registry.hub_server import ListeningHub

PAGE = Path(__file__).parent.parent / "docs" / "tracking.md"

PRINTED = """\
first 0.01
1.5
['answers.json', 'images']
LOGGED_MODEL_READY 1.0 accuracy 1
True
['training_accuracy_score', 'training_f1_score'] LogisticRegression 1
(4,)
mlflow.evaluate is not offered by Penstock, which stands in for MLflow here
RESOURCE_DOES_NOT_EXIST
The metric 'loss' is 'much', which is no number.
"""


def test_the_blocks_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])  # which the stand-in changes
    listening = ListeningHub()
    listening.start()
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", listening.url)
    monkeypatch.setenv("PENSTOCK_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setattr(sessions, "_session", sessions.Session())
    with listening.emptied(tmp_path / "artifacts", lambda: datetime.now(UTC)):
        names: dict[str, object] = {}
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
            exec(compile(block, PAGE.name, "exec"), names)
        sessions.current_session().close()
    listening.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        del sys.modules[name]
    assert capsys.readouterr().out == PRINTED


@pytest.mark.parametrize("name", [name for name in fluent.__all__ if name[0].islower()])
def test_the_page_names_every_call(name: str) -> None:
    page = PAGE.read_text()
    assert f"`{name}`" in page or (name[-1] == "s" and f"`{name[:-1]}(s)`" in page) or f"`{name}(s)`" in page
