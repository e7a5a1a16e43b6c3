"""What helps against an error, as the command line says it: a command to run, a flag to give.

Errors name their remedy by a key, since they are shown elsewhere, too: in HTTP answers, in logs, to Python callers.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from penstock.cli.registry_option import registry_typed, store_typed
from penstock.errors import PenstockError, Remedy

WORDS = {
    "accept_schema": "Upgrade Penstock. Or try --accept-schema --dry-run: it reads the columns that it knows, and what "
    "the counts show to be there is what an import with --accept-schema brings over.",
    "add_code": "To take {them} along, repeat the command with --code {code}",
    "add_model": "Add it with: penstock registry add {model} PACKAGE{at}",
    "add_token": "Make one, then start the hub again: penstock hub --store {store} token add NAME --role admin. Or "
    "give it one in PENSTOCK_HUB_ADMIN_TOKEN, as in a container. If only those who should can reach the hub, start it "
    "with --open-to-everybody.",
    "add_wheel": "Put {what} into {directory}, or omit --wheels.",
    "allow_breaking": "If the change is intended, repeat the command with --allow-breaking.",
    "allow_builds": (
        "Only wheels are installed. --trust-code also allows building distributions from source, which runs their code."
    ),
    "allow_other_versions": "Install that version, or omit --strict-env.",
    "ask_registry": (
        "The registry could not be asked, so nothing is known about its models. This says what is wrong with it: "
        "penstock doctor --registry {registry}"
    ),
    "another_store": "Give --store another place: a directory, sqlite:///FILE or a URL.",
    "any_age": "Omit --older-than.",
    "answer_for_all": "If that is meant, package a Python file whose predict(inputs) calls the model, without "
    "--batchable: penstock package python --help",
    "array_example": "Give the example as an array, which is what callers then send: echo {body} > example.json && "
    "{command} --example example.json",
    "bad_rows": "With --on-error skip or null a bad row does not stop the job; --rejects records such rows.",
    "compare_libraries": "The installed libraries may have other versions than the package; penstock inspect "
    "compares them.",
    "copy_others": "Rename {name} in the input, or copy the other columns: {command} --keep {copied}",
    "create_registry": "{create}",
    "data_file": "A package has only the files that it is given. Repeat the command with --artifact {name}={path}, and "
    "read it in a class Model, in load(context), as context.artifacts[{name!r}]; or with --code {path}, and read it "
    "beside the code, as Path(__file__).parent / {file!r}.",
    "datetimes": "The dates in {columns} are text in the example. If the model takes them as dates, repeat the command "
    "with {flags}",
    "datetime_unit": "If numbers in the column have a unit (s, ms, us, ns), state it: --datetime {column}=ms",
    "give_artifact": "If {name} is a file that the model finds as context.artifacts[{name!r}], repeat the command with "
    "--artifact {name}=FILE",
    "give_param": "If {name} is a param of the model, repeat the command with its default, such as --param {name}=1.0",
    "import_store": "Name another place. What this one holds is brought over by: penstock hub import {source}",
    "isolate": "Omit --isolation none.",
    "keep_others": "Columns that --keep names are copied, and not given to the model: {command} --keep {keep}",
    "keep_some": "Columns that --keep names are copied, and not given to the model: name those that it does not take.",
    "list_models": "List the models with: penstock registry list{at}",
    "list_settings": "penstock config show lists every setting.",
    "send_there": "To send it there, repeat the command with --tracking {server}",
    "share_store": "Make a database, bring its tables to this release with penstock hub --store "
    "postgresql://USER@HOST/DATABASE migrate, and repeat the command with that --store.",
    "local_environment": "Package the model again, or try it with --env-manager local.",
    "make_room": "Free some space, for example with: penstock env prune",
    "migrate": "Run: {migrate}",
    "missing_module": (
        "If {module} is a library: pip install {library} (or --env-manager uv, if the package lists it). If it is a "
        "file of the author's own, the model has to be packaged again with it: penstock package … --code {place}, "
        'or, if MLflow saves it, save_model(…, code_paths=["{place}"])'
    ),
    "move_store": "Nothing of it need be imported: penstock hub --store {store} serves it. To copy it into an empty "
    "store: penstock hub --store {store} backup DIRECTORY, then penstock hub --store NEW restore DIRECTORY. To bring "
    "it into one that has something in it, serve it, and import from its address.",
    "name_format": "Name one with --{option}: {formats}.",
    "name_wheels": "--wheels names this directory.",
    "overwrite": "Choose another directory, or repeat the command with --force to replace this package.",
    "one_by_one": "Write predict({inputs}, params), use params[{name!r}], and repeat the command with "
    "--param {name}={value}",
    "one_column": "Package the model with that column alone: {command} --column {column}",
    "package": "Package a model with: penstock package --help",
    "pickle": "Package the model as a pickle with --format cloudpickle; serving it then needs --trust-code.",
    "promote": "Set the alias with: penstock registry promote {model} VERSION --alias {alias}{at}",
    "python_file": "Package a Python file whose predict(inputs) calls another method of the model: penstock package "
    "python --help",
    "reach_index": (
        "Is the package index reachable? Set UV_DEFAULT_INDEX to use another index, or --wheels DIR to use a directory."
    ),
    "remove_alias": "Move the alias with penstock registry promote, or remove it: penstock registry remove-alias "
    "{model} {alias}{at}",
    "requirement": (
        "A requirement must be a name with versions. Put wheels of other distributions on your own index, or into "
        "--wheels DIR."
    ),
    "resume_job": "Continue the job with --resume, or choose another directory.",
    "resume_shards": "Run each shard again with --resume.",
    "run_shards": "Run each shard with --shard i/N and -o with this directory.",
    "same_source": "Some were imported before as {place}: if that is this source, name it the same way (a file: at the "
    "path that it had), and what changed there since is brought over. If not, import into an empty store; or give "
    "--skip-clashes, which leaves those out, with their runs and versions, and lists them.",
    "script_code": (
        "Define {name} in a file of its own, such as features.py, import it from there where the model is trained, and "
        "package the model again with --code features.py"
    ),
    "show_history": "See who moved the alias, and try again: penstock registry history {model}{at}",
    "show_model": "List the versions with: penstock registry show {model}{at}",
    "skip_clashes": "Import into an empty store; or give --skip-clashes, which leaves those out, with their runs and "
    "versions, and lists them.",
    "trust_code": "If you trust its author, repeat the command with --trust-code (PENSTOCK_TRUST_CODE=1)",
    "trust_code_or_convert": (
        "If you trust its author, repeat the command with --trust-code (PENSTOCK_TRUST_CODE=1). To make {what} "
        "data-only: penstock package convert {path} -o {path}-data-only"
    ),
}


def hint_of(error: PenstockError, arguments: Sequence[str] = ()) -> str:
    """What to do next: the remedy in the words of the command line, or the hint that the error came with. `arguments`
    are those of the command that failed, for a remedy that is the same command with one flag more, or another one that
    asks the same registry; without them it is the command that runs."""
    remedy = error.remedy
    if remedy is None or remedy.key not in WORDS:
        return error.hint
    return WORDS[remedy.key].format_map(_Typed(remedy, arguments))


class _Typed(dict[str, str]):
    """The names of a remedy as they are typed, the registry and the store that were typed, and the command itself
    without the flag that the remedy gives anew."""

    def __init__(self, remedy: Remedy, arguments: Sequence[str]) -> None:
        super().__init__(remedy.names)
        self |= {"at": registry_typed(arguments), "migrate": _migrate(arguments), "create": _create(arguments)}
        self |= {name: shlex.quote(self[name]) for name in _QUOTED if name in self}
        for name, flags in _GIVEN_ANEW.items():
            if name in self:
                self |= {name: shlex.quote(self[name]), "command": _without(arguments, flags)}


def _migrate(arguments: Sequence[str]) -> str:
    """The command that migrates the store that was asked: what a hub was given, a registry's commands do not take."""
    if list(arguments[:1]) == ["hub"] or store_typed(arguments):
        return f"penstock hub{store_typed(arguments)} migrate"
    registry = f"penstock registry migrate{registry_typed(arguments)}"
    return f"{registry} (for the store of a hub: penstock hub --store URL migrate)"


def _create(arguments: Sequence[str]) -> str:
    """Where a registry is made with its first model, a hub's store is there as soon as a hub was."""
    if list(arguments[:1]) == ["hub"] or store_typed(arguments):
        return "Name the hub's store with --store. Where there is none, starting penstock hub makes one."
    add = f"penstock registry add NAME PACKAGE{registry_typed(arguments)}"
    return f"Registering the first model creates the registry: {add}"


# Names that are typed behind a flag, or for one, and the flags that go.
_GIVEN_ANEW = {
    "body": ("--column", "--example"),
    "column": ("--column",),
    "copied": ("--keep", "--join"),
    "keep": ("--keep",),
}
# Names that are typed as they stand.
_QUOTED = ("model", "alias", "store", "source", "server")
# Flags without a value.
_SWITCHES = {"--join"}


def _without(arguments: Sequence[str], flags: Sequence[str]) -> str:
    """The command as it was typed, without these flags and their values."""
    kept: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if (before not in flags or before in _SWITCHES) and argument.partition("=")[0] not in flags:
            kept.append(argument)
    return shlex.join(("penstock", *kept))
