"""A server asked politely: a few questions at once, again after a failure, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from penstock.errors import ImportFailed, RegistryError, RegistryNotFound, RegistryRefused
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.mlflow_credentials import MlflowCredentials
from penstock.moving.mlflow_server.paging import PageWatch

T = TypeVar("T")
R = TypeVar("R")

# What is answered, and how its id is found.
IdOf: TypeAlias = Callable[[Mapping[str, Any]], object]

# Questions at once: a server with four worker processes, as MLflow's has, still answers others.
AT_ONCE = 4

# MLflow's searches of many runs may take a minute, and a server that restarts is back within one.
_TIMEOUTS = CallTimeouts(connect=10.0, read=120.0, total=300.0, retries=6, backoff=0.5)

# Fifty runs with a thousand long params each.
_ANSWER_LIMIT = 512 * 1024 * 1024

_PAGES = "/ajax-api/2.0/mlflow"


class ServerAsker:
    """One server. What fails is ImportFailed, after it was asked again a few times."""

    def __init__(self, url: str, access: MlflowCredentials) -> None:
        self.client = MlflowRestClient(url, access, _TIMEOUTS, answer_limit=_ANSWER_LIMIT)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="penstock-import")

    @property
    def place(self) -> str:
        return self.client.place

    def search(self, path: str, name: str, id_of: IdOf, **fields: Any) -> Iterator[list[dict[str, Any]]]:
        """The pages of a search that is a POST; `name` is the field with what was found, each once by its id."""
        return self._pages(
            name, id_of, lambda token: self._asked(lambda: self.client.send("POST", path, **fields, **token))
        )

    def listed(self, path: str, name: str, id_of: IdOf, **fields: Any) -> Iterator[list[dict[str, Any]]]:
        """The same of one that is a GET."""
        return self._pages(name, id_of, lambda token: self._asked(lambda: self.client.get(path, **fields, **token)))

    def page_of(self, path: str, **fields: Any) -> dict[str, Any] | None:
        """What only a page of MLflow's asks; None where the server does not know it."""
        return self._known(lambda: self.client.call("GET", f"{_PAGES}/{path}", fields))

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        return self._asked(lambda: self.client.get(path, **fields))

    def several(self, ask: Callable[[T], R], wanted: list[T]) -> Iterator[R]:
        """What is answered to each, in order; a few are asked at once."""
        return self._threads.map(ask, wanted)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.client.close()

    def _pages(
        self, name: str, id_of: IdOf, ask: Callable[[Mapping[str, str]], dict[str, Any]]
    ) -> Iterator[list[dict[str, Any]]]:
        token: dict[str, str] = {}
        watch = PageWatch(self.place, name.replace("_", " "), id_of)
        while True:
            answer = ask(token)
            found = answer.get(name, [])
            if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
                raise ImportFailed(f"{self.place} answers with {name} that are not MLflow's.")
            if new := watch.look(found):
                yield new
            after = answer.get("next_page_token") or ""
            if not after or after == token.get("page_token"):
                return
            token = {"page_token": str(after)}

    def _known(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except (RegistryNotFound, RegistryRefused):
            return None
        except RegistryError as error:
            raise _failed(error) from error

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except RegistryError as error:
            raise _failed(error) from error


def _failed(error: RegistryError) -> ImportFailed:
    return ImportFailed(error.message, hint="Start the import again when the server answers.")
