"""The supervisor of `penstock hub --workers N`: a worker whose stores are open serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.http.workers.supervisor import ProcessSupervisor


class HubSupervisor(ProcessSupervisor):
    """Knows no store: each worker opens its own connections, and what one writes the others see in the database."""

    # Mutable state besides: the workers whose stores are open.
    _ready: tuple[int, ...] = ()

    @property
    def _joined(self) -> Sequence[int]:
        return self._ready

    async def _start(self, url: str, on_started: Callable[[], None]) -> None:
        await self._all_joined
        self._opened = True
        on_started()

    def _remove(self, number: int, how: str) -> bool:
        self._ready = tuple(other for other in self._ready if other != number)
        return False

    def on_started(self, number: int) -> None:
        self._ready = (*self._ready, number)
        self._join(number)
