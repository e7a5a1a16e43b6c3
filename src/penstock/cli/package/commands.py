"""`penstock package …`: make packages."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from penstock.assembly.environments import environments_of
from penstock.cli.environment_options import wheels_option
from penstock.cli.package.again import RepeatableCommand, again
from penstock.cli.package.flavor_command import FlavorCommand
from penstock.cli.package.own_modules import code_option
from penstock.cli.package.saving_options import Saving, output_options, saving_options

if TYPE_CHECKING:
    from penstock.package import PackagedModel


class _PackageGroup(click.Group):
    """The commands below, and one for every flavor that a plug-in adds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self._plug_ins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        return _flavor_command(cmd_name) if command is None and cmd_name in self._plug_ins() else command

    def _plug_ins(self) -> list[str]:
        from penstock.flavors import plug_in_flavors

        return [name for name in plug_in_flavors() if name not in self.commands]


@click.group(cls=_PackageGroup)
def package() -> None:
    """Make packages that Penstock and MLflow both load.

    A package is a directory: the MLmodel manifest, the model, examples, requirements and a seal. The example shows what
    callers will send: Penstock infers the signature from it and records the model's answer.
    """


@package.command(cls=RepeatableCommand)
@click.argument("model", type=click.Path(path_type=Path))
@saving_options
@click.option(
    "--predict-fn",
    default="predict",
    show_default=True,
    type=click.Choice(["predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "both"]),
    help="What answers. predict_proba: a column for each class, called as the class is; both: the label beside them.",
)
@click.option(
    "--format",
    "serialization",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "skops", "cloudpickle"]),
    help="auto: skops (data only) if every type is known to be safe, otherwise cloudpickle.",
)
@code_option
def sklearn(
    model: Path,
    saving: Saving,
    code: tuple[Path, ...],
    predict_fn: str,
    serialization: str,
) -> None:
    """Package a fitted scikit-learn estimator from a .joblib, .pkl or .skops file.

    Reading a .joblib or .pkl file runs the code inside. Only package files that you trust.

    \b
    Examples:
      penstock package sklearn model.joblib --example rows.csv -o ./model
      penstock package sklearn model.joblib --predict-fn both --example rows.csv -o ./model
      penstock package sklearn model.joblib --code features.py --example rows.csv -o ./model
    """
    from penstock.flavors import get_flavor

    read = get_flavor("sklearn").read
    _save(model, saving, code, read=read, predict_fn=predict_fn, serialization=serialization)


@package.command(cls=RepeatableCommand)
@click.argument("model", type=click.Path(path_type=Path))
@saving_options
def onnx(model: Path, saving: Saving) -> None:
    """Package an ONNX file, together with the weight files that the ONNX file refers to.

    \b
    Example:
      penstock package onnx model.onnx --example rows.csv -o ./model
    """
    from penstock.errors import PackagingFailed

    if model.suffix != ".onnx":
        raise PackagingFailed(f"{model} is not named .onnx.")
    _save(model, saving)


@package.command(cls=RepeatableCommand)
@click.argument("source", type=click.Path(path_type=Path))
@saving_options
@click.option("--entry", metavar="NAME", help="The function or class in the file. Default: predict, or else Model.")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    metavar="NAME=PATH",
    help="A file or directory that the code finds as context.artifacts[NAME]. May be repeated.",
)
@code_option
@click.option(
    "--batchable",
    is_flag=True,
    help="Each row's answer depends on that row alone, so Penstock may batch requests.",
)
def python(
    source: Path,
    saving: Saving,
    entry: str | None,
    artifacts: tuple[str, ...],
    code: tuple[Path, ...],
    batchable: bool,
) -> None:
    """Package a Python file that predicts: a function, or a class with load(context) and predict(inputs, params).

    \b
    Examples:
      penstock package python rules.py --param limit=100.0 --example rows.csv -o ./model
      penstock package python model.py --artifact weights=weights.npz --code features.py --example rows.csv -o ./model
    """
    from penstock.errors import PackagingFailed

    if source.suffix != ".py":
        raise PackagingFailed(f"{source} is not named .py.")
    places = dict(_pair(text) for text in artifacts)
    _save(source, saving, code, entry=entry, artifacts=places, batchable=batchable)


def _flavor_command(name: str) -> click.Command:
    @click.command(name, cls=FlavorCommand, help=f"Package a file by the plug-in for {name}.")
    @click.argument("model", type=click.Path(path_type=Path))
    @saving_options
    @code_option
    def command(model: Path, saving: Saving, code: tuple[Path, ...], **options: Any) -> None:
        from penstock.flavors import get_flavor

        _save(model, saving, code, read=get_flavor(name).read, flavor=name, **options)

    return command


@package.command(cls=RepeatableCommand)
@click.argument("source", metavar="PACKAGE", type=click.Path(path_type=Path))
@output_options
def convert(source: Path, output: Path, force: bool) -> None:
    """Make a pickled scikit-learn package data-only: the same model as skops.

    The conversion runs the pickle once. It fails if the answers to the package's example would differ.

    \b
    Example:
      penstock package convert ./pickled -o ./safe
    """
    from penstock.package import PackagedModel
    from penstock.package.convert import convert_to_data_only

    _report(convert_to_data_only(PackagedModel.open(source), output, overwrite=force))


@package.command(cls=RepeatableCommand)
@click.argument("source", metavar="PACKAGE", type=click.Path(path_type=Path))
@output_options
@wheels_option
@click.option(
    "--trust-code/--no-trust-code",
    envvar="PENSTOCK_TRUST_CODE",
    help="Allow distributions without wheels. Their code runs to find out what they need.",
)
def lock(source: Path, output: Path, force: bool, wheels: str | None, trust_code: bool) -> None:
    """Pin what a package needs: every distribution, with its version and the hashes of its files.

    The lock is valid for all platforms, and for the package's Python version and later ones. Without a lock, versions
    that the package does not pin are chosen when the environment is first built.

    \b
    Example:
      penstock package lock ./model -o ./model-locked
    """
    from penstock.package import PackagedModel

    _report(*_locked(PackagedModel.open(source), output, wheels, trust_code=trust_code, force=force))


def _locked(
    packaged: PackagedModel, output: Path, wheels: str | None, *, trust_code: bool, force: bool
) -> tuple[PackagedModel, str]:
    from penstock.environments import lock_package

    environments = environments_of(wheels=wheels)
    made, lock = lock_package(packaged, output, environments, trust_code=trust_code, overwrite=force)
    return made, f"Its {len(lock.names)} distributions are pinned with hashes, for Python {lock.python} and later."


def _pair(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise click.UsageError(f"--artifact takes NAME=PATH, not {text!r}.")
    return name, Path(path)


def _save(
    model: Path,
    saving: Saving,
    code: Sequence[Path] = (),
    read: Callable[[Path], Any] | None = None,
    **how: Any,
) -> None:
    """Packages a file, or what `read` makes of it."""
    from penstock.cli.package.example_option import (
        label_column,
        only_columns,
        read_example_file,
        read_original,
        read_params,
        zeros_lost,
    )
    from penstock.cli.package.own_modules import importable, read_with
    from penstock.errors import PackagingFailed
    from penstock.package.needs.own_code import check_code
    from penstock.package.original import ExampleOfFile

    payload, params = read_example_file(saving.example)
    params |= read_params(saving.params)
    payload = only_columns(payload, saving.columns)
    for warning in zeros_lost(saving.example):
        click.echo(f"Warning: {warning}", err=True)
    labels = None if saving.columns else label_column(saving.example)
    modules = check_code(code)
    datetimes = {name: unit for name, _, unit in (text.partition("=") for text in saving.datetimes)}
    example = ExampleOfFile(payload, partial(read_original, saving.example.absolute(), saving.columns))
    how |= {"example": example, "params": params, "requirements": saving.requirements, "code": code}
    how |= {"datetimes": datetimes}
    try:
        with importable(modules):
            found = model if read is None else read_with(read, model, modules)
            made, more = _made(found, saving, how)
    except PackagingFailed as error:
        if labels is not None and not error.hint:
            error.hint = f"{labels.warning} To go on without it: {labels.removal} && {again()}"
        raise
    if labels is not None:
        click.echo(f"Warning: {labels.warning} To take it out of the file: {labels.removal}", err=True)
    _report(made, more)


def _made(model: Any, saving: Saving, how: dict[str, Any]) -> tuple[PackagedModel, str]:
    from penstock.package.save import save_model

    if not saving.lock:
        return save_model(model, saving.output, overwrite=saving.force, **how), ""
    with TemporaryDirectory(prefix="penstock-") as place:
        made = save_model(model, Path(place) / saving.output.name, **how)
        wheels = os.environ.get("PENSTOCK_WHEELS")
        return _locked(made, saving.output, wheels, trust_code=False, force=saving.force)


def _report(packaged: PackagedModel, more: str = "") -> None:
    """What was made, and what its user has to know about it."""
    reasons = packaged.code_reasons()
    click.echo(f"Packaged {packaged.path} ({packaged.digest[:12]}).")
    if more:
        click.echo(more)
    if reasons:
        click.echo(f"The package carries code: {'; '.join(map(str, reasons))}. Serving the package needs --trust-code.")
    else:
        click.echo("The package is data-only: loading the package runs no code from it.")
    command = ["penstock", "serve", str(packaged.path), *(["--trust-code"] if reasons else [])]
    click.echo(f"Next: {shlex.join(command)}")
