"""What `penstock doctor` looks at, one function a subject. Each gives findings; none raises, none changes anything."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.doctor.finding import FAILS, LOOK, OK, Finding
from penstock.cli.doctor.readers import readers
from penstock.cli.remedies import hint_of
from penstock.config import unknown_variables
from penstock.error_text import without_passwords
from penstock.errors import ConfigError, DependencyMissing, PenstockError
from penstock.sizes import shown_size

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.package import PackagedModel
    from penstock.registry import Registry
    from penstock.registry.references import ModelReference


def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """All findings for a server with these settings."""
    from penstock.machine.memory import machine_memory

    return [
        *_software(),
        *_variables(environ),
        *_processor(settings, environ),
        *_memory(),
        readers(settings, machine_memory()),
        *_files(settings),
        *_address(settings),
        *_tokens(settings),
        *_cache(settings, environ),
        *_models(settings),
    ]


# Extra -> what it brings, and what for.
_EXTRAS = {
    "onnx": ("onnxruntime", "ONNX models"),
    "sklearn": ("sklearn", "scikit-learn models"),
    "python": ("cloudpickle", "Python models"),
    "parquet": ("pyarrow", "Parquet and Arrow"),
    "postgres": ("psycopg", "a registry in PostgreSQL"),
    "s3": ("s3fs", "models and artifacts in S3"),
    "gcs": ("gcsfs", "the same in Google Cloud Storage"),
}


def _software() -> Iterator[Finding]:
    from importlib.util import find_spec

    from penstock.version import __version__

    yield Finding(OK, "penstock", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    there = [f"{extra} ({what})" for extra, (module, what) in _EXTRAS.items() if find_spec(module) is not None]
    missing = [extra for extra, (module, _) in _EXTRAS.items() if find_spec(module) is None]
    rest = f"; not installed: {', '.join(missing)}" if missing else ""
    yield Finding(OK, "extras", (", ".join(there) or "none") + rest)


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    for said in unknown_variables(environ):
        yield Finding(LOOK, "variables", said, "penstock config show names the variable of every setting.")


def _processor(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    from penstock.machine.cores import THREAD_VARIABLES, cgroup_cores, usable_cores

    cores, quota = usable_cores(), cgroup_cores()
    workers = settings.workers or cores
    limit = f", of which the container may use {quota:g}" if quota is not None and quota < cores else ""
    summary = f"{cores} cores{limit}; {workers} worker{'s' * (workers != 1)}"
    usable = min(cores, quota) if quota is not None else cores
    if workers > max(1.0, usable):
        yield Finding(
            LOOK, "processor", summary, f"More workers than cores bring no speed: set --workers {max(1, int(usable))}."
        )
    elif quota is not None and quota < cores and not settings.threads:
        advice = (
            f"Libraries would start one thread for each of {cores} cores and be throttled: set --threads "
            f"{max(1, int(quota))}."
        )
        yield Finding(LOOK, "processor", summary, advice)
    else:
        yield Finding(OK, "processor", summary)
    chosen = {name: environ[name] for name in THREAD_VARIABLES if environ.get(name)}
    many = {n: v for n, v in chosen.items() if v.isdigit() and int(v) * workers > max(cores, 1)}
    if many:
        shown = ", ".join(f"{n}={v}" for n, v in many.items())
        advice = "Use one thread per worker, or fewer workers."
        yield Finding(LOOK, "threads", f"{shown} with {workers} workers is more than there are cores", advice)


def _memory() -> Iterator[Finding]:
    from penstock.machine.memory import machine_memory

    limit = machine_memory()
    if limit is not None:
        state, advice = (LOOK, "A server needs 100 to 200 MB in addition to its models.") if limit < 300e6 else (OK, "")
        yield Finding(state, "memory", shown_size(limit), advice)


def _files(settings: Settings) -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < settings.max_inflight + 100:
        yield Finding(
            LOOK,
            "open files",
            f"{soft} may be open, fewer than the {settings.max_inflight} requests allowed at once",
            f"Raise the limit (ulimit -n {settings.max_inflight + 1024}), or lower --max-inflight.",
        )
    else:
        yield Finding(OK, "open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} may be open")


def _tokens(settings: Settings) -> Iterator[Finding]:
    from penstock.access.tokens_file import parse_tokens

    if settings.tokens_file is None:
        return
    try:
        count = len(parse_tokens(Path(settings.tokens_file).read_bytes()))
    except (ConfigError, OSError) as error:
        what = error.message if isinstance(error, ConfigError) else f"it cannot be read: {error.strerror}."
        yield Finding(FAILS, "tokens", f"{settings.tokens_file}: {what}", "A server does not start with this file.")
    else:
        empty = "Make one: penstock token add NAME --role ROLE --file FILE"
        yield Finding(OK if count else LOOK, "tokens", f"{count} in {settings.tokens_file}", "" if count else empty)


def _address(settings: Settings) -> Iterator[Finding]:
    what = f"{settings.host}:{settings.port}"
    local = settings.host in ("127.0.0.1", "localhost", "::1")
    token = bool(settings.api_token.get_secret_value()) or settings.tokens_file is not None
    if not local and not token:
        yield Finding(
            LOOK,
            "address",
            f"{what} is reachable from other machines without a token",
            "Set PENSTOCK_API_TOKEN or PENSTOCK_TOKENS_FILE, unless a proxy in front checks credentials.",
        )
    elif local and Path("/.dockerenv").exists():
        yield Finding(
            LOOK, "address", f"{what} is reachable only from inside this container", "Set PENSTOCK_HOST=0.0.0.0."
        )
    else:
        yield Finding(OK, "address", f"{what}{', with a token' if token else ''}")
    if not settings.port:
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((settings.host, settings.port))
        except OSError as error:
            advice = "Expected if the server is already running; otherwise choose another --port."
            yield Finding(LOOK, "port", f"{settings.port} is not available now: {error.strerror}", advice)


def _cache(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    home = environ.get("HOME") or tempfile.gettempdir()
    place = Path(settings.cache or Path(home, ".cache", "penstock"))
    there = next(path for path in (place, *place.parents) if path.exists())
    if not _takes_files(there):
        needed = any(not os.path.exists(model.rpartition("=")[2]) for model in settings.models)
        yield Finding(
            FAILS if needed else LOOK,
            "cache",
            f"{place} is not writable",
            "Choose a writable directory with --cache (PENSTOCK_CACHE). In a container with a read-only root file "
            "system, mount a volume.",
        )
        return
    free = shutil.disk_usage(there).free
    low = free < 2_000_000_000
    advice = "Packages from a registry are stored there: free some space." if low else ""
    yield Finding(LOOK if low else OK, "cache", f"{place}, {shown_size(free)} free", advice)


def _takes_files(directory: Path) -> bool:
    """Found out by writing one, since rights on paper say little to root, and on some mounts."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _models(settings: Settings) -> Iterator[Finding]:
    from penstock.registry.references import parse_reference

    references = []
    for text in settings.models:
        try:
            references.append(parse_reference(text, patterns=True))
        except PenstockError as error:
            yield _failed(text, error)
    yield from _uv(settings, references)
    registry: Registry | None = None
    try:
        if any(r.needs_registry for r in references) or not settings.models:
            registry, finding = _registry(settings, wanted=bool(references))
            yield finding
        for reference in references:
            if reference.is_pattern:
                yield _pattern(reference, registry)
            else:
                yield from _model(reference, registry, settings.of(reference.served_as))
    finally:
        if registry is not None:
            registry.close()


def _pattern(reference: ModelReference, registry: Registry | None) -> Finding:
    """The models that a pattern stands for now; each may be looked at by its name."""
    what = str(reference)
    if registry is None:
        return Finding(FAILS, what, "cannot be looked up, because the registry does not answer")
    from penstock.payload import some

    try:
        found = sorted(registry.search(reference.name, reference.alias))
    except PenstockError as error:
        return _failed(what, error)
    if not found:
        return Finding(LOOK, what, f"no matching model has the alias {reference.alias}")
    return Finding(OK, what, f"{len(found)} model{'s' * (len(found) != 1)}: {some(found)}")


def _registry(settings: Settings, *, wanted: bool) -> tuple[Registry | None, Finding]:
    from penstock.registry import open_registry

    shown = without_passwords(settings.registry)
    try:
        registry = open_registry(settings.registry, artifacts=settings.artifacts, read_only=True, cache=settings.cache)
    except PenstockError as error:
        return None, Finding(FAILS if wanted else LOOK, "registry", f"{shown}: {error.message}", hint_of(error))
    try:
        names = len(registry.models())
    except PenstockError as error:
        registry.close()
        return None, Finding(FAILS if wanted else LOOK, "registry", f"{shown}: {error.message}", hint_of(error))
    return registry, Finding(OK, "registry", f"{shown}, {names} model{'s' * (names != 1)}")


def _model(reference: ModelReference, registry: Registry | None, settings: Settings) -> Iterator[Finding]:
    from penstock.assembly.packages import fetch_now

    name = reference.served_as
    if reference.needs_registry and registry is None:
        yield Finding(FAILS, name, f"{reference} cannot be looked up, because the registry does not answer")
        return
    try:
        fetched = fetch_now(settings, reference, registry)
    except PenstockError as error:
        yield _failed(name, error)
        return
    with fetched.package:
        yield from _fetched(name, fetched.version, fetched.path, settings)


def _fetched(name: str, version: str, path: Path, settings: Settings) -> Iterator[Finding]:
    from penstock.assembly.environments import builds_environments
    from penstock.package import PackagedModel

    try:
        packaged = PackagedModel.open(path)
        packaged.verify()
        flavor = packaged.flavor().name
        apart = builds_environments(settings.env_manager)
        reasons: Sequence[object] = ()
        with suppress(DependencyMissing) if apart else nullcontext():  # its own environment may have what judges it
            reasons = packaged.code_reasons()
    except PenstockError as error:
        yield _failed(name, error)
        return
    digest = f"{packaged.digest[:12]}{'' if packaged.sealed else ', not sealed'}"
    which = f"version {version} ({digest})" if version else digest
    yield Finding(OK, name, f"{which}, {flavor}, {shown_size(packaged.size_bytes)}")
    yield from _trust(name, reasons, packaged, settings)
    yield from _environment(name, packaged, settings) if apart else _versions(name, packaged, settings)
    yield from _room(name, packaged, settings)
    yield from _example(name, packaged)


def _example(name: str, packaged: PackagedModel) -> Iterator[Finding]:
    try:
        packaged.example()
    except PenstockError as error:
        advice = "It is served, but not proven by its example, and one request at a time. Package it again with one."
        yield Finding(LOOK, name, error.message, advice)


def _trust(name: str, reasons: Sequence[object], packaged: PackagedModel, settings: Settings) -> Iterator[Finding]:
    if reasons and not settings.trust_code:
        yield Finding(
            FAILS,
            name,
            f"carries code: {'; '.join(map(str, reasons))}",
            "If you trust its author, serve the model with --trust-code (PENSTOCK_TRUST_CODE=1)."
            + (f" penstock package convert makes {what} data-only." if (what := packaged.convertible()) else ""),
        )


def _versions(name: str, packaged: PackagedModel, settings: Settings) -> Iterator[Finding]:
    for library in packaged.environment():
        if not library.differs:
            continue
        versions = f"made with {library.name} {library.packaged}, installed is {library.installed or 'none'}"
        if library.installed is None:
            yield Finding(FAILS, name, versions, f"pip install '{library.name}=={library.packaged}'")
        else:
            state = FAILS if settings.strict_env else LOOK
            yield Finding(
                state, name, versions, f"pip install '{library.name}=={library.packaged}', or package the model again."
            )


def _uv(settings: Settings, references: Sequence[ModelReference]) -> Iterator[Finding]:
    """Looked for where a model is to have libraries of its own; one whose environment is built does without."""
    from penstock.environments import find_uv

    managers = {settings.env_manager, *(settings.of(r.served_as).env_manager for r in references)}
    if managers.isdisjoint(("uv", "virtualenv")):
        return
    try:
        yield Finding(OK, "uv", str(find_uv()))
    except PenstockError as error:
        advice = f"{hint_of(error)}; Penstock's image has none: build environments beforehand with penstock env build."
        yield Finding(LOOK, "uv", error.message, advice)


def _environment(name: str, packaged: PackagedModel, settings: Settings) -> Iterator[Finding]:
    from penstock.assembly.environments import environments_of
    from penstock.environments import find_uv

    environments = environments_of(settings.cache, settings.wheels)
    try:
        if environments.has(
            packaged, trust_code=settings.trust_code, strict_env=settings.strict_env, flavor=settings.flavor
        ):
            yield Finding(OK, name, "the environment is built")
            return
        find_uv()
    except PenstockError as error:
        yield _failed(name, error)
        return
    yield Finding(
        OK,
        name,
        "the environment is not built yet; loading the model will build it",
        "To build it beforehand, run penstock env build.",
    )


def _room(name: str, packaged: PackagedModel, settings: Settings) -> Iterator[Finding]:
    """Two versions are in memory around a swap, in every worker."""
    from penstock.machine.memory import machine_memory

    limit = machine_memory()
    needed = packaged.size_bytes * 2 * max(1, settings.workers)
    if limit is not None and needed > 0.7 * limit:
        yield Finding(
            LOOK,
            name,
            f"two versions of the model in {max(1, settings.workers)} worker(s) are {shown_size(needed)} on disk "
            f"alone; the memory limit is {shown_size(limit)} of memory",
            "Raise the memory limit, or use fewer workers.",
        )


def _failed(name: str, error: PenstockError) -> Finding:
    return Finding(FAILS, name, error.message, hint_of(error))
