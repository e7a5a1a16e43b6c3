"""`penstock inspect` and `penstock verify`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.console import json_text, signature_rows, titled_table
from penstock.cli.environment_options import env_manager_option, wheels_option
from penstock.cli.loading_options import loading_options
from penstock.cli.registry_option import registry_if_needed, registry_typed
from penstock.error_text import printable

if TYPE_CHECKING:
    from penstock.package import PackagedModel
    from penstock.package.shown_example import ShownExample


@click.command()
@click.argument("model")
@registry_if_needed
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def inspect(model: str, registry: str | None, as_json: bool) -> None:
    """Show what is in a package, without loading it. MODEL is as for penstock serve.

    \b
    Examples:
      penstock inspect ./model
      penstock inspect models:/fraud@champion --registry http://mlflow:5000
    """
    from penstock.assembly.named_models import fetch_model
    from penstock.package import PackagedModel

    with fetch_model(model, registry) as package:
        facts = _facts(PackagedModel.open(package.path))
    facts["model"] = model
    if as_json:
        click.echo(json_text(facts))
        return
    _print_facts(facts)


def _facts(packaged: PackagedModel) -> dict[str, Any]:
    """Everything there is to know, as plain values."""
    from penstock.errors import PenstockError
    from penstock.loading.placement import place
    from penstock.package.environment import compare, read_pins
    from penstock.package.shown_example import show_example

    manifest = packaged.manifest
    try:
        flavor = packaged.flavor().name
        reasons = [str(reason) for reason in packaged.code_reasons()]
        placement, problem = str(place(packaged)), ""
    except PenstockError as error:
        flavor, reasons, placement, problem = "", [], "", str(error)
    try:
        libraries = {**packaged.flavor().libraries(manifest), **read_pins(packaged.path)} if flavor else {}
    except PenstockError as error:
        libraries, problem = {}, problem or str(error)
    example = show_example(packaged, rows=1)
    return {
        "path": str(packaged.path),
        "digest": packaged.digest,
        "sealed": packaged.sealed,
        "size_bytes": packaged.size_bytes,
        "written_by": manifest.written_by,
        "created": str(manifest.content.get("utc_time_created") or ""),
        "flavors": sorted(manifest.flavors),
        "answers_as": flavor,
        "data_only": bool(flavor) and not reasons,
        "code_reasons": reasons,
        "runs": placement,
        "problem": problem,
        "batchable": manifest.batchable,
        "deterministic": manifest.deterministic,
        **signature_rows(manifest.signature),
        "locked": _locked(packaged),
        "libraries": [
            {"name": c.name, "packaged": c.packaged, "installed": c.installed, "differs": c.differs}
            for c in compare(libraries)
        ],
        "example_problem": example.problem,
        "curl": _curl(example),
    }


def _locked(packaged: PackagedModel) -> str:
    from penstock.environments import describe_lock
    from penstock.errors import PenstockError

    try:
        return describe_lock(packaged)
    except PenstockError as error:
        return f"unusable: {error.message}"


def _curl(example: ShownExample) -> str:
    """A line to paste, with the package's own example cut to one row where that is simple."""
    if example.request is None:
        return ""
    body = example.request if isinstance(example.request, str) else json_text(example.request, indent=False)
    text = body.replace("'", "'\\''")
    return f"curl localhost:8080/invocations -H 'Content-Type: application/json' -d '{text}'"


def _print_facts(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from penstock.cli.console import cell, console, print_table
    from penstock.sizes import shown_size

    screen = console()
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_column(style="bold")
    head.add_column(overflow="fold")
    for label, value in (
        ("Package", facts["path"]),
        ("Digest", facts["digest"] + ("" if facts["sealed"] else "  (not sealed)")),
        ("Size", shown_size(facts["size_bytes"])),
        ("Written by", f"{facts['written_by']}, {facts['created']}".rstrip(", ")),
        ("Flavors", ", ".join(facts["flavors"])),
        ("Answers as", facts["answers_as"] or facts["problem"]),
        ("Code", _trust(facts)),
        ("Runs", facts["runs"] or "nowhere"),
        ("Locked", facts["locked"] or "no (penstock package lock pins the requirements)"),
        (
            "Batching",
            "rows of several callers may be batched together"
            if facts["batchable"]
            else "each request alone, unless batching is proven",
        ),
    ):
        head.add_row(label, cell(value))
    print_table(screen, head)
    for side in ("inputs", "outputs", "params"):
        if facts[side]:
            print_table(screen, titled_table(side, facts[side]))
    if facts["libraries"]:
        print_table(screen, titled_table("libraries", facts["libraries"]))
    if facts["example_problem"]:
        click.echo(f"\nNo example to try: {printable(facts['example_problem'])}")
    if facts["curl"]:
        trust = "" if facts["data_only"] else " --trust-code"
        click.echo(f"\nTry it: penstock serve {printable(facts['model'])}{trust}{registry_typed()}, then")
        click.echo(printable(facts["curl"]))


def _trust(facts: dict[str, Any]) -> str:
    if facts["problem"]:
        return "unknown"
    return "data only" if facts["data_only"] else f"carries code: {'; '.join(facts['code_reasons'])}"


@click.command()
@click.argument("model")
@registry_if_needed
@loading_options
@env_manager_option
@wheels_option
def verify(
    model: str, registry: str | None, trust_code: bool, strict_env: bool, env_manager: str, wheels: str | None
) -> None:
    """Check a package: that it matches its seal, loads, and repeats its recorded answers. MODEL is as for penstock
    serve.

    \b
    Examples:
      penstock verify ./model
      penstock verify models:/fraud/3
      penstock verify ./model --env-manager uv
    """
    from penstock.assembly.environments import own_environment
    from penstock.assembly.named_models import fetch_model, load_directory
    from penstock.loading import LoadOptions
    from penstock.logs import set_up_logging

    set_up_logging(level="warning")
    environment = own_environment(env_manager, wheels, trust_code=trust_code, strict_env=strict_env)
    began = time.perf_counter()
    options = LoadOptions(trust_code=trust_code, strict_env=strict_env)
    with fetch_model(model, registry) as package:
        loaded = load_directory(package.path, options, environment)
    loaded.close()
    proof = loaded.proof
    files = len(loaded.package.hashes)
    sealed = f"all {files} files match the seal" if loaded.package.sealed else "the package has no seal"
    click.echo(f"Seal:     {sealed} ({loaded.digest[:12]})")
    click.echo(f"Locked:   {_locked(loaded.package) or 'no'}")
    click.echo(f"Loads:    yes, in {time.perf_counter() - began:.2f} s")
    click.echo(
        f"Answers:  {'the same as the recorded answers' if proof.repeats else 'no recorded answers to compare with'}"
    )
    click.echo(
        f"Batching: "
        f"{'rows may be batched together' if not proof.unjoined else 'each request alone, because ' + proof.unjoined}"
    )
    if proof.not_lean is not None:
        way = (
            f"by scikit-learn's own layers, because {proof.not_lean}" if proof.not_lean else "lean, with the same bits"
        )
        click.echo(f"Predicts: {way}")
