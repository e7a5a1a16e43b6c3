"""What docs/clients.md has for curl and for JavaScript, by curl and by Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from client.documented import blocks, serving_fraud
from services.tools import require_tool

pytestmark = pytest.mark.services


def test_the_fetch_of_the_page_predicts_and_names_what_does_not_fit() -> None:
    node = require_tool("node", debian="nodejs")
    with serving_fraud() as url:
        (recipe,) = blocks("js", url)
        program = recipe + (
            "const rows = [{ amount: 900, age: 35 }, { amount: 5, age: 30 }];\n"
            "const refused = await predict([{ amount: 'much', age: 1 }]).catch((error) => error);\n"
            "console.log(JSON.stringify([await predict(rows), refused.status, refused.violations[0].column]));\n"
        )
        command = [node, "--input-type=module", "--eval", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [[1, 0], 400, "amount"]


def test_each_curl_of_the_page_is_answered(tmp_path: Path) -> None:
    require_tool("curl", debian="curl")
    (tmp_path / "rows.csv").write_text("amount,age\n900,35\n5,30\n")
    with serving_fraud() as url:
        (block,) = blocks("sh", url)
        lines = block.replace("\\\n", " ").splitlines()
        done = [
            subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
            for line in lines
        ]
    assert [json.loads(each.stdout)["predictions"] for each in done] == [[1], [1, 0]]
