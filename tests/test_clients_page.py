"""docs/clients.md does what it says: its Python runs against a gateway behind a real socket."""

from __future__ import annotations

from client.documented import PAGE, blocks, serving_fraud


def test_every_python_block_of_the_page_runs() -> None:
    names: dict[str, object] = {}
    with serving_fraud() as url:
        found = blocks("python", url)
        assert len(found) >= 6
        for number, block in enumerate(found):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
        names["session"].close()  # type: ignore[attr-defined]
