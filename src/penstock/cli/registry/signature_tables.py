"""What a model takes and gives, as tables for people: one row for each column, array or param."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from penstock.signature import Schema, Signature


def schema_rows(schema: Schema | None) -> list[dict[str, Any]]:
    from penstock.signature import Field

    return [
        {"name": f.name, "type": str(f.type), "required": f.required}
        if isinstance(f, Field)
        else {"name": f.name, "type": str(f).rpartition(": ")[2], "required": True}
        for f in schema or ()
    ]


def signature_rows(signature: Signature | None) -> dict[str, list[dict[str, Any]]]:
    """The rows of inputs, outputs and params, empty where nothing is said of them."""
    if signature is None:
        return {"inputs": [], "outputs": [], "params": []}
    return {
        "inputs": schema_rows(signature.inputs),
        "outputs": schema_rows(signature.outputs),
        "params": [{"name": p.name, "type": str(p.type), "default": p.default} for p in signature.params],
    }


def titled_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows with the same keys, which become the columns."""
    from rich.table import Table

    from penstock.cli.console import cell

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for key in rows[0]:
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*(cell(_shown(key, value)) for key, value in row.items()))
    return table


def _shown(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ("(unnamed)" if key == "name" else "") if value is None else str(value)
