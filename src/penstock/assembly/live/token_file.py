"""A gateway's file of tokens: read at the start, and again soon after it has changed. A file that cannot be used
changes nothing: the tokens that were good last still are."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from penstock.access.tokens import KnownTokens
from penstock.access.tokens_file import TokenLine, known_tokens, parse_tokens
from penstock.assembly.live.watching import MAX_BYTES, FileWatch, read
from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.metrics import Metrics

log = logging.getLogger("penstock.server")

# Between two looks at the file. A change counts once two looks saw the same, so that a token that is taken away lets
# nobody in half a second later.
INTERVAL = 0.25


class TokenFile:
    """The file, and its content as it was good last. Raises ConfigError where it cannot be used at the start."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self.path = path
        self._metrics = metrics
        for outcome in ("applied", "refused"):
            metrics.token_reloads.labels(outcome)
        if not path.is_file():  # a pipe is read once, and would let nobody in from then on
            raise ConfigError(f"The file of tokens {path} is not there, or is no file.")
        # The whole mutable state: what the file had, and its content as it was good last.
        self._watch = FileWatch(path)
        self.content = self._watch.used or b""
        self._say(self._lines(self._watch.used))

    def look(self, content: bytes | None) -> bool:
        """Whether what the file has now is new, settled and good; then it is the `content`."""
        if not self._watch.look(content):
            return False
        try:
            lines = self._lines(content)
        except ConfigError as error:
            self._count("refused")
            log.error("%s The tokens that were good before still are; it is read again when it changes.", error)
            return False
        self._count("applied")
        self.content = content or b""
        self._say(lines)
        return True

    def _lines(self, content: bytes | None) -> list[TokenLine]:
        if content is None:
            raise ConfigError(f"The file of tokens {self.path} is not there, or cannot be read.")
        if len(content) == MAX_BYTES:
            raise ConfigError(f"The file of tokens {self.path} has {MAX_BYTES:,} bytes or more, and may not.")
        try:
            return parse_tokens(content)
        except ConfigError as error:
            what = f"The file of tokens {self.path} cannot be used: {error.message}"
            raise ConfigError(what, hint=error.hint) from None

    def _say(self, lines: Sequence[TokenLine]) -> None:
        counts = Counter(line.role for line in lines)
        if lines:
            log.info("%s: %s.", self.path, ", ".join(f"{n} with the role {role}" for role, n in sorted(counts.items())))
        else:
            log.warning("%s holds no tokens, so that it lets nobody in.", self.path)

    def _count(self, outcome: str) -> None:
        self._metrics.token_reloads.labels(outcome).inc()
        self._metrics.tokens_refused.set(outcome == "refused")

    def __repr__(self) -> str:
        return f"<TokenFile {self.path}>"


def open_token_file(settings: Settings, metrics: Metrics) -> TokenFile | None:
    """The file that the settings name, if any. Raises ConfigError where it cannot be used."""
    return None if settings.tokens_file is None else TokenFile(Path(settings.tokens_file), metrics)


def tokens_of(settings: Settings, content: bytes) -> KnownTokens:
    """Whom a gateway with these settings lets in, while its file of tokens has this content."""
    operator = settings.api_token.get_secret_value()
    if settings.tokens_file is None:
        return KnownTokens.static(operator)
    return known_tokens(parse_tokens(content), operator)


@asynccontextmanager
async def following_tokens(
    file: TokenFile | None, admit: Callable[[bytes], None], interval: float = INTERVAL
) -> AsyncIterator[None]:
    """While it lasts, `admit` is called with the content of the file whenever that changes to something good."""
    if file is None:
        yield
        return
    looking = asyncio.create_task(_keep_looking(file, admit, interval))
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def _read(path: Path) -> bytes | None:
    """None also for what is no file: opening a pipe waits for somebody who writes. Blocks."""
    return read(path) if path.is_file() else None


async def _keep_looking(file: TokenFile, admit: Callable[[bytes], None], interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            if file.look(await asyncio.to_thread(_read, file.path)):
                admit(file.content)
        except Exception:  # a mistake of ours: the next change must still come in
            log.exception("%s could not be applied; the tokens stay as they are.", file.path)
