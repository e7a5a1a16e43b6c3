"""`penstock token …`: the tokens that callers of a gateway need, as lines of a file."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from penstock.cli.console import console, print_table, titled_table
from penstock.errors import ConfigError, TokenExists, TokenNotFound

if TYPE_CHECKING:
    from penstock.access.policy import GatewayRole
    from penstock.access.tokens_file import TokenLine

F = TypeVar("F", bound=Callable[..., Any])

_ROLES = ("predict", "metrics", "admin")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def token() -> None:
    """Make, list and revoke the tokens that callers of penstock serve need.

    A server takes the tokens of the file that --tokens names, one line for each: NAME ROLE SHA256. The role predict
    asks for predictions and what describes the models; metrics reads /metrics; admin may do everything. The server
    follows the file: changes apply within a second.

    The tokens of penstock hub are another matter: penstock hub token --help.
    """


def _file_option(*, required: bool) -> Callable[[F], F]:
    return click.option(
        "--file",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PENSTOCK_TOKENS_FILE",
        required=required,
        help="The file of tokens.  [PENSTOCK_TOKENS_FILE]",
    )


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What its holder may do.")
@click.option("--model", "models", multiple=True, help="For this model alone; with the role predict. May be repeated.")
@_file_option(required=False)
def add(name: str, role: str, models: tuple[str, ...], path: Path | None) -> None:
    """Make a token, print it, and add its line to the file. It is shown this once: the line has its SHA-256 alone.

    Without --file, the line is printed below the token, for a Secret of Kubernetes or another place.

    \b
    Examples:
      penstock token add shop --role predict --file tokens
      penstock serve ./model --tokens tokens
      penstock token add prometheus --role metrics --file tokens > prometheus-token
      penstock token add fraud-team --role predict --model fraud --model fraud-v2 --file tokens
    """
    from penstock.access.credentials import digest_of, new_token
    from penstock.access.tokens_file import TokenLine, parse_tokens

    made = new_token()
    line = TokenLine(name, cast("GatewayRole", role), digest_of(made), models)
    try:
        parse_tokens(f"{line}\n".encode())
    except ConfigError as error:
        raise ConfigError(f"There can be no such token: {error.message.removeprefix('line 1 ')}") from None
    if path is not None:
        _append(path, line)
    click.echo(made)
    if path is None:
        click.echo(str(line))
        click.echo("The token, and its line for the file of tokens. The token is not shown again.", err=True)
    else:
        click.echo(
            f"{name} has the role {role}. Send it as Authorization: Bearer TOKEN; it is not shown again.", err=True
        )


@token.command(name="list")
@_file_option(required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(path: Path, as_json: bool) -> None:
    """Show the tokens of the file by name. What they are, nobody knows any more.

    \b
    Example:
      penstock token list --file tokens
    """
    lines = _parse(path, _read(path))
    if as_json:
        click.echo(json.dumps([{"name": t.name, "role": t.role, "models": list(t.models)} for t in lines]))
    elif not lines:
        click.echo("There are no tokens.")
    else:
        rows = [{"name": t.name, "role": t.role, "models": ", ".join(t.models) or "all"} for t in lines]
        print_table(console(), titled_table("", rows))


@token.command()
@click.argument("name")
@_file_option(required=True)
def revoke(name: str, path: Path) -> None:
    """Take a token's line out of the file. It lets nobody in a second later, on open connections either.

    \b
    Example:
      penstock token revoke shop --file tokens
    """
    with _alone(path):
        content = _read(path)
        if not any(line.name == name for line in _parse(path, content)):
            raise TokenNotFound(f"There is no token named {name[:60]!r} in {path}.")
        lines = content.removeprefix(BOM_UTF8).splitlines(keepends=True)
        _write(path, b"".join(line for line in lines if line.split()[:1] != [name.encode()]))
    click.echo(f"{name} is revoked.")


def _append(path: Path, line: TokenLine) -> None:
    """Raises ConfigError, TokenExists."""
    with _alone(path):
        written = _read(path) if path.exists() else b""
        if any(other.name == line.name for other in _parse(path, written)):
            raise TokenExists(f"There is a token named {line.name!r} in {path}.", hint="Choose another name.")
        end = b"" if not written or written.endswith(b"\n") else b"\n"
        _write(path, b"%b%b%b\n" % (written, end, str(line).encode()))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While no other command changes the file: what two read and write at once, only one of them has written."""
    from penstock.storage.atomic import locked_directory

    with ExitStack() as held:
        try:
            held.enter_context(locked_directory(path.resolve().parent))
        except OSError as error:
            raise ConfigError(f"The file of tokens {path} cannot be written: {error.strerror or error}.") from None
        yield


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The file of tokens {path} cannot be read: {error.strerror or error}.") from None


def _parse(path: Path, content: bytes) -> list[TokenLine]:
    from penstock.access.tokens_file import parse_tokens

    try:
        return parse_tokens(content)
    except ConfigError as error:
        raise ConfigError(f"The file of tokens {path} cannot be used: {error.message}", hint=error.hint) from None


def _write(path: Path, content: bytes) -> None:
    """In one step, so that a server that follows the file never sees half of it."""
    from penstock.storage.atomic import replace_file

    try:
        replace_file(path.resolve(), content)
    except OSError as error:
        raise ConfigError(f"The file of tokens {path} cannot be written: {error.strerror or error}.") from None
