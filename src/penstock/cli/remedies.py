"""What helps against an error, as the command line says it: a command to run, a flag to give.

Errors name their remedy by a key, since they are shown elsewhere, too: in HTTP answers, in logs, to Python callers.
"""

from __future__ import annotations

from penstock.errors import PenstockError

WORDS = {
    "add_model": "Add it with: penstock registry add {model} PACKAGE",
    "add_wheel": "Put {what} into {directory}, or leave --wheels out.",
    "allow_breaking": "If that is meant, repeat with --allow-breaking.",
    "allow_builds": (
        "Only wheels are installed, unless --trust-code allows distributions to be built, which runs their code."
    ),
    "allow_other_versions": "Install that version, or leave --strict-env out.",
    "bad_rows": "With --on-error skip or null such a row does not end the job; --rejects keeps them.",
    "compare_libraries": "Its libraries may be of other versions here; penstock inspect compares them.",
    "create_registry": "The first model creates it: penstock registry add NAME PACKAGE",
    "isolate": "Leave --isolation none out.",
    "list_models": "See which there are: penstock registry list",
    "list_settings": "penstock config show lists every setting.",
    "local_environment": "Package the model anew, or try it as it is with --env-manager local.",
    "make_room": "Make room, for example with: penstock env prune",
    "migrate": "Run: penstock registry migrate",
    "package": "Package a model with: penstock package --help",
    "pickle": "Package it as a pickle with --format cloudpickle; serving it then needs --trust-code.",
    "promote": "Set it with: penstock registry promote {model} VERSION --alias {alias}",
    "reach_index": (
        "Is the package index reachable? UV_DEFAULT_INDEX names another one, --wheels DIR a directory to use instead."
    ),
    "remove_alias": "Point the alias elsewhere with promote, or: penstock registry remove-alias {model} {alias}",
    "requirement": (
        "A requirement is a name and versions. Put a wheel of anything else on an index of yours, or into --wheels DIR."
    ),
    "resume_job": "Continue it with --resume, or give another directory.",
    "resume_shards": "Run each again with --resume.",
    "run_shards": "Each is run with --shard i/N -o and this directory.",
    "show_history": "See who did, and try again: penstock registry history {model}",
    "show_model": "See which there are with: penstock registry show {model}",
    "trust_code": "If you trust whoever made it, repeat with --trust-code (PENSTOCK_TRUST_CODE=1)",
    "trust_code_or_convert": (
        "If you trust whoever made it, repeat with --trust-code (PENSTOCK_TRUST_CODE=1); {what} can become "
        "data-only with: penstock package convert"
    ),
}


def hint_of(error: PenstockError) -> str:
    """What to do next: the remedy in the words of the command line, or the hint that the error came with."""
    remedy = error.remedy
    if remedy is None or remedy.key not in WORDS:
        return error.hint
    return WORDS[remedy.key].format_map(remedy.names)
