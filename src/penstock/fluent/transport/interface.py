"""The contract that every transport meets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, BinaryIO


class TrackingTransport(ABC):
    """Calls of MLflow's REST, by the paths that they have there. Safe to use from several threads.

    Every method may raise TrackingUnavailable, after which asking again may help, and TrackingRefused.
    """

    # How many seconds may be gathered before it is called, where nobody waits: a call has costs of its own.
    pace = 1.0

    @property
    @abstractmethod
    def place(self) -> str:
        """Names who keeps the runs to people, without credentials."""

    @property
    @abstractmethod
    def takes_run_ids(self) -> bool:
        """Whether a run may be made under an id that the client chose, so that making it twice makes one run."""

    @abstractmethod
    def get(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What is read, as `runs/get`, or with a slash before it what a server has beside MLflow's REST."""

    @abstractmethod
    def post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What is changed or searched, as `runs/log-batch`."""

    @abstractmethod
    def post_encoded(self, path: str, body: bytes) -> None:
        """The same with JSON that is written already, where the answer says nothing."""

    @abstractmethod
    def send(self, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What is changed by another method than POST."""

    @abstractmethod
    def put_file(self, directory: str, path: str, file: BinaryIO, size: int) -> None:
        """Keeps a file at a path below a run's artifact URI, in place of one that is there."""

    @abstractmethod
    def read_file(self, directory: str, path: str) -> bytes:
        """A file's content. Raises TrackingRefused where there is none."""

    @abstractmethod
    def list_files(self, directory: str, path: str) -> list[dict[str, Any]]:
        """What is in a directory below: `path` from `directory` on, `is_dir`, and `file_size` of files. Empty for what
        is a file, or is not there."""

    @abstractmethod
    def close(self) -> None:
        """Connections."""
