"""`penstock image`: a build context for an image with a model in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.registry_option import registry_option
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.environments.requirements import Wanted
    from penstock.package import PackagedModel


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The directory to write.")
@click.option("--name", help="The name that the model is served under. Default: as for penstock serve.")
@click.option(
    "--base", help="The base image. Default: the image of this release; for an ONNX model, the smaller one for ONNX."
)
@click.option(
    "--trust-code",
    is_flag=True,
    help="Allow the image to run the package's code. Required if the package carries code.",
)
@click.option(
    "--requirements/--no-requirements",
    "install",
    default=True,
    show_default=True,
    help="Install the libraries that the package lists, as --env-manager uv would.",
)
@registry_option
def image(
    model: str, output: Path, name: str | None, base: str | None, trust_code: bool, install: bool, registry: str
) -> None:
    """Write a build context for an image that serves MODEL: a Dockerfile, the package, and its requirements.

    The image runs wherever Penstock's own image does: Docker, Kubernetes, SageMaker and Vertex AI. MODEL is as for
    penstock serve. The image holds one fixed version of the model.

    \b
    Examples:
      penstock image ./model -o build && docker build -t fraud:1 build
      penstock image models:/fraud@champion -o build --registry http://mlflow:5000
    """
    from penstock.assembly.named_models import fetch_model
    from penstock.package import PackagedModel
    from penstock.registry.references import parse_reference

    served_as = name or parse_reference(model).served_as
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", served_as):
        raise click.UsageError(
            f"{served_as!r} cannot be a model's name in an image. Give --name with letters, digits, '.', '_' and '-' "
            f"only."
        )
    with fetch_model(model, registry) as package:
        _write_context(
            PackagedModel.open(package.path), served_as, output, base, install=install, trust_code=trust_code
        )


def _write_context(
    packaged: PackagedModel, served_as: str, output: Path, base: str | None, *, install: bool, trust_code: bool
) -> None:
    """The build context: the package, what it asks for, and a Dockerfile. Raises CodeNotTrusted, PackageExists,
    PackageInvalid, SealBroken."""
    from penstock.errors import CodeNotTrusted, PackageExists
    from penstock.package.directory import new_directory

    packaged.verify()
    reasons = packaged.code_reasons()
    if reasons and not trust_code:
        raise CodeNotTrusted(
            f"The image would run code from the package: {'; '.join(map(str, reasons))}.",
            hint="If you trust its author, repeat the command with --trust-code.",
        )
    wanted = wanted_requirements(packaged, trust_code=trust_code) if install else None
    lines = wanted.listed if wanted else ()
    if output.exists():
        raise PackageExists(f"{output} exists already.", hint="Choose another directory, or remove this one.")
    flavor = packaged.flavor().name
    base = base or f"penstock:{__version__}{'-onnx' if flavor == 'onnx' else ''}"
    with new_directory(output.absolute()) as directory:
        copied = Path(shutil.copytree(packaged.path, directory / "model"))
        for path in (copied, *copied.rglob("*")):  # the image's user is another one
            path.chmod(0o755 if path.is_dir() else 0o644)
        _write_lines(directory / "requirements.txt", lines)
        if wanted is not None and lines:
            _write_lines(directory / "constraints.txt", wanted.constraints)
        text = dockerfile(base, served_as, packaged, trust=bool(reasons), wanted=wanted)
        (directory / "Dockerfile").write_text(text, encoding="utf-8")
    for reason in wanted.left_out if wanted else ():
        click.echo(f"Left out: {reason}.", err=True)
    click.echo(f"Wrote {output}: Dockerfile, model ({packaged.digest[:12]}), {len(lines)} requirements.")
    click.echo(f"The base image is {base}, which `docker build` of Penstock's own Dockerfile makes.")
    click.echo(f"Next: docker build -t {served_as.lower()} {output} && docker run -p 8080:8080 {served_as.lower()}")


def wanted_requirements(packaged: PackagedModel, *, trust_code: bool) -> Wanted:
    """What the package asks for, judged as for an environment of its own. MLflow is not for the image, which Penstock
    serves in. Raises PackageInvalid for a line that names no distribution."""
    from penstock.environments.requirements import read_wanted
    from penstock.errors import PackageInvalid

    try:
        return read_wanted(packaged, trust_code=trust_code, mlflow=False)
    except PackageInvalid as error:
        raise PackageInvalid(
            error.message,
            hint="Repeat the command with --no-requirements, and install what the package needs in your own "
            "Dockerfile.",
        ) from None


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def dockerfile(base: str, served_as: str, packaged: PackagedModel, *, trust: bool, wanted: Wanted | None) -> str:
    """The text of the Dockerfile."""
    trusted = ', "--trust-code"' if trust else ""
    lines = [
        f"# {served_as}, package {packaged.digest}",
        f"FROM {base}",
        f'LABEL org.opencontainers.image.title="{served_as}" penstock.model.digest="{packaged.digest}"',
    ]
    if wanted is not None and wanted.listed:
        # The gateway's environment has no pip of its own; Python's, outside of it, installs into it.
        lines += [
            "USER 0",
            "COPY requirements.txt constraints.txt /tmp/wanted/",
            "RUN /usr/local/bin/python -m pip --python /opt/penstock/bin/python install --no-cache-dir \\",
            *(["      --only-binary :all: \\"] * wanted.wheels_only),
            "      -r /tmp/wanted/requirements.txt -c /tmp/wanted/constraints.txt",
            "USER 10001:10001",
        ]
    lines += [
        f"COPY model /models/{served_as}",
        f"ENV PENSTOCK_MODELS={served_as}=/models/{served_as}",
        *(["# The package carries code; the author of this image trusts it.", "ENV PENSTOCK_TRUST_CODE=1"] * trust),
        f'RUN ["penstock", "verify", "/models/{served_as}"{trusted}]',
    ]
    return "\n".join(lines) + "\n"
