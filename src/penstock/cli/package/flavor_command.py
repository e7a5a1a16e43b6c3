"""The flags of `penstock package NAME` for a plug-in's flavor: the fields of its options."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

import click

from penstock.cli.package.again import RepeatableCommand


class FlavorCommand(RepeatableCommand):
    """A command named like a flavor, which has the flavor's options as flags. They are looked up when the command runs
    or explains itself: listing it imports no plug-in."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from penstock.flavors import get_flavor

        *rest, help_option = super().get_params(ctx)
        options = fields(get_flavor(str(self.name)).options_type)
        return [*rest, *map(_flag, options), help_option]


def _flag(field: Field[Any]) -> click.Option:
    """A field as a flag of its default's type, or else of text."""
    name = field.name.replace("_", "-")
    default = None if field.default is MISSING else field.default
    if isinstance(default, bool):
        return click.Option([f"--{name}/--no-{name}", field.name], default=default, show_default=True)
    kind = type(default) if isinstance(default, (int, float)) else str
    return click.Option([f"--{name}", field.name], default=default, type=kind, show_default=default not in (None, ""))
