"""Asks Penstock, in process, what MLflow's server was asked, and compares the answers."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from starlette.types import ASGIApp

from contract.corpus import PACKAGES
from contract.differences import DIFFERENCES
from contract.requests import Request, body_of, headers_of, method_of, name_of, path_of
from penstock.errors import PenstockError
from penstock.loading import LoadOptions
from penstock.loading.placement import IsolationMode
from penstock.metrics import Metrics
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.runners.isolation import Isolation, load_served
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel

RECORDED = Path(__file__).parent / "recorded"
_SHOWN = 1200


@dataclass(frozen=True)
class Outcome:
    """One request, both answers, and what is to be said of them. `different` is empty where they are alike; `listed`
    names the purposeful difference that accounts for it."""

    package: str
    request: Request
    recorded: dict[str, Any]
    ours: dict[str, Any]
    different: str = ""
    listed: str = ""

    @property
    def kind(self) -> str:
        return str(self.request["kind"])

    @property
    def fails(self) -> bool:
        return bool(self.different) and not self.listed

    def __str__(self) -> str:
        """For a person who has to find out why."""
        headers = "".join(f"\n            {key}: {value}" for key, value in headers_of(self.request).items())
        return (
            f"{self.package} · {name_of(self.request)}: {self.different}\n"
            f"  request:  {method_of(self.request)} {path_of(self.request)}{headers}\n"
            f"            {_shown(body_of(self.request).decode('utf-8', 'backslashreplace'))}\n"
            f"  MLflow:   {_told(self.recorded)}\n"
            f"  Penstock: {_told(self.ours)}"
        )


@dataclass(frozen=True)
class Run:
    """All requests of a package. `failed` is why it could not be loaded, `skipped` why it need not be."""

    package: str
    outcomes: list[Outcome] = field(default_factory=list)
    failed: str = ""
    skipped: str = ""

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(outcome.kind for outcome in self.outcomes))


def recorded_packages() -> list[str]:
    return sorted(path.stem for path in RECORDED.glob("*.json"))


@cache
def recorded(package: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"{package}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def recorded_kinds(package: str) -> list[str]:
    return list(dict.fromkeys(exchange["kind"] for exchange in recorded(package)["exchanges"]))


@cache
def run(package: str, *, apart: bool = False, exact: bool = False, every: int = 1) -> Run:
    """Loads the package, into a process of its own if it is to run `apart`, and sends it everything that was recorded.
    With `exact` every answer is to be MLflow's, and requests whose answer may be another then are sent, and of the
    others one in `every`. The second call answers from memory."""
    if reason := _why_skipped(package):
        return Run(package, skipped=reason)
    exchanges = _chosen(package, every)
    with _quiet():
        try:
            return Run(package, asyncio.run(_ask_all(package, "process" if apart else "none", exact, exchanges)))
        except PenstockError as error:
            return Run(package, failed=f"{type(error).__name__}: {error}")


@cache
def _why_skipped(package: str) -> str:
    """Code pickled by value is bytecode, which only the same minor version of Python reads."""
    manifest = yaml.safe_load((PACKAGES / package / "MLmodel").read_text(encoding="utf-8"))
    made_with, here = recorded(package)["python"], ".".join(map(str, sys.version_info[:2]))
    if "python_model" in manifest["flavors"]["python_function"] and made_with != here:
        return f"its class was pickled by value with Python {made_with}, and this is {here}"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Models warn, and their failures are logged; neither is what is compared. Warnings must not become errors, as
    they would under pytest, since the models would fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _differs_when_exact(exchange: Request, plain: Outcome | None) -> bool:
    """Whether this request is answered in another way where every answer is to be MLflow's."""
    if "NaN" in (answer := json.dumps(exchange["answer"])) or "Infinity" in answer:
        return True
    return plain is not None and any(d.name == plain.listed for d in DIFFERENCES if d.ends_when_exact)


def _chosen(package: str, every: int) -> list[Request]:
    exchanges: list[Request] = recorded(package)["exchanges"]
    if every == 1:
        return exchanges
    plain = run(package).outcomes
    return [
        exchange
        for i, exchange in enumerate(exchanges)
        if i % every == 0 or _differs_when_exact(exchange, plain[i] if plain else None)
    ]


async def _ask_all(package: str, mode: IsolationMode, exact: bool, exchanges: list[Request]) -> list[Outcome]:
    metrics = Metrics(process=False)
    served = ServedModel(package, metrics)
    loaded = await asyncio.to_thread(
        load_served, PACKAGES / package, LoadOptions(trust_code=True), Isolation(mode=mode, slots=2)
    )
    served.swap(Servable(package, loaded.digest[:12], loaded, metrics))
    gateway = Gateway([served], metrics)
    try:
        app = make_app(gateway, mlflow_exact=exact)
        return [_judged(package, exchange, await _ask(app, exchange), exact) for exchange in exchanges]
    finally:
        await gateway.close()


async def _ask(app: ASGIApp, request: Request) -> dict[str, Any]:
    """Without a client: there are twenty thousand requests, and a client costs as much as what is asked."""
    body, (path, _, query) = body_of(request), path_of(request).partition("?")
    given = {"host": "127.0.0.1", "content-length": str(len(body)), **headers_of(request)}
    scope = {
        "type": "http", "http_version": "1.1", "method": method_of(request), "scheme": "http", "root_path": "",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(key.lower().encode(), value.encode()) for key, value in given.items()],
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 123),
    }  # fmt: skip
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []
    over = asyncio.Event()

    async def receive() -> Any:
        if not incoming:
            await over.wait()
            return {"type": "http.disconnect"}
        return incoming.pop()

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            over.set()

    await app(scope, receive, send)
    headers = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    found: dict[str, Any] = {"status": sent[0]["status"], "type": headers.get("content-type")}
    try:
        return {**found, "json": json.loads(content)}
    except ValueError:
        return {**found, "text": content.decode("utf-8", "surrogateescape")}


def _judged(package: str, exchange: Request, ours: dict[str, Any], exact: bool) -> Outcome:
    different = disagreement(exchange["answer"], ours, nan_words=exact)
    outcome = Outcome(package, exchange, exchange["answer"], ours, different)
    if not outcome.different:
        return outcome
    possible = (d for d in DIFFERENCES if not (exact and d.ends_when_exact))
    names = (d.name for d in possible if d.accounts_for(package, exchange, exchange["answer"], ours))
    return Outcome(package, exchange, exchange["answer"], ours, outcome.different, next(names, ""))


def disagreement(theirs: dict[str, Any], ours: dict[str, Any], *, nan_words: bool = False) -> str:
    """Where two answers part, in a few words; empty where a client could not tell them apart.

    Of errors the status and the error_code count, since MLflow's messages are not ours. NaN and Infinity, which are
    not JSON, are null in ours, but for `nan_words`.
    """
    if theirs["status"] != ours["status"]:
        return f"status {theirs['status']} became {ours['status']}"
    if theirs["status"] >= 400 and "error_code" in _object(theirs):
        code, our_code = _object(theirs)["error_code"], _object(ours).get("error_code")
        return "" if code == our_code else f"error_code {code} became {our_code}"
    if _media(theirs) != _media(ours):
        return f"content type {theirs['type']} became {ours['type']}"
    if "json" not in theirs or "json" not in ours:
        alike = theirs.get("text") == ours.get("text") and ("json" in theirs) == ("json" in ours)
        return "" if alike else "the text differs"
    return value_difference(theirs["json"], ours["json"], nan_words=nan_words)


def _object(answer: dict[str, Any]) -> dict[str, Any]:
    document = answer.get("json")
    return document if isinstance(document, dict) else {}


def _media(answer: dict[str, Any]) -> str:
    return str(answer["type"]).partition(";")[0].strip()


def value_difference(theirs: Any, ours: Any, where: str = "", *, nan_words: bool = False) -> str:
    """The first place where two JSON values part; kinds of numbers and the order of keys count."""
    if isinstance(theirs, float) and not math.isfinite(theirs):
        if nan_words and isinstance(ours, float) and repr(theirs) == repr(ours):
            return ""
        if nan_words:
            return f"at {where or 'the top'}: {theirs} became {_shown(ours, 80)}"
        return "" if ours is None else f"at {where or 'the top'}: {theirs} became {_shown(ours, 80)}"
    if type(theirs) is not type(ours):
        return f"at {where or 'the top'}: {_shown(theirs, 80)} became {_shown(ours, 80)}"
    if isinstance(theirs, dict):
        if list(theirs) != list(ours):
            return f"at {where or 'the top'}: keys {_shown(list(theirs), 80)} became {_shown(list(ours), 80)}"
        parts = ((theirs[key], ours[key], f"{where}.{key}") for key in theirs)
    elif isinstance(theirs, list):
        if len(theirs) != len(ours):
            return f"at {where or 'the top'}: {len(theirs)} items became {len(ours)}"
        parts = ((a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(theirs, ours, strict=True)))
    else:
        close = isinstance(theirs, float) and _close(theirs, ours)
        alike = close or theirs == ours
        return "" if alike else f"at {where or 'the top'}: {_shown(theirs, 120)} became {_shown(ours, 120)}"
    return next(filter(None, (value_difference(a, b, place, nan_words=nan_words) for a, b, place in parts)), "")


def _close(theirs: float, ours: float) -> bool:
    """To nine digits; to five where both are single precision, whose sums depend on the order in memory: a small
    probability is the exponential of such a sum, which multiplies what its last digit lacks by some thirty."""
    single = all(abs(v) < 3e38 and struct.unpack("f", struct.pack("f", v))[0] == v for v in (theirs, ours))
    return math.isclose(theirs, ours, rel_tol=1e-5 if single else 1e-9)


def _told(answer: dict[str, Any]) -> str:
    content = json.dumps(answer["json"], ensure_ascii=False) if "json" in answer else repr(answer.get("text"))
    return f"{answer['status']} {answer['type']} {_shown(content)}"


def _shown(value: Any, limit: int = _SHOWN) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
